//! What each model cost, everything it does included.

use super::models::Models;
use super::text::{seconds, share, significant};
use crate::summary::Summary;

/// The cost table.
pub fn html(summary: &Summary, models: &Models) -> String {
    let rows: String = models
        .all()
        .filter_map(|m| {
            let cost = summary.scores.cost.iter().find(|c| c.model == m.name)?;
            Some(format!(
                "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
                m.label(),
                seconds(cost.wall_s),
                share(cost.share_of_retrain),
                significant(cost.train_passes)
            ))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"cost\"><h2>Cost</h2>\n<p>Everything a model’s making takes is counted: masks, Fisher information, teachers, caches, closed-form solves. \
         A pass is one forward and one backward pass over the retain and learn training images; a forward pass alone counts a third.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Cost\"><table class=\"narrow\"><thead><tr><th scope=\"col\">Model</th>\
         <th scope=\"col\">Wall time<small>lower is better</small></th><th scope=\"col\">Share of one retraining<small>%, lower is better</small></th>\
         <th scope=\"col\">Training passes<small>lower is better</small></th></tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    )
}
