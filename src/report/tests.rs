//! What must hold of every page, whatever the summary; and how the page and the tables are built.

use super::{compare, fixture, html, markdown};
use crate::study::{self, Pairs};
use crate::summary::{Content, ModelKind, Score, Summary};

/// A tag or the text between two.
enum Piece<'a> {
    Open(&'a str, &'a str),
    Close(&'a str),
    Text(&'a str),
}

/// Cuts a page into tags and text. Enough for pages that we write ourselves: no comments, no `>` in attributes (escaping sees to that).
fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        pieces.push(Piece::Text(&rest[..start]));
        let end = rest[start..].find('>').expect("every tag ends") + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name_end = tag.find([' ', '/']).filter(|i| *i > 0).unwrap_or(tag.len());
        match tag.strip_prefix('/') {
            Some(name) => pieces.push(Piece::Close(name)),
            None => pieces.push(Piece::Open(&tag[..name_end], &tag[name_end..])),
        }
        // Style and script hold no markup.
        if tag == "style" || tag == "script" {
            let close = rest.find(&format!("</{tag}>")).expect("style and script end");
            rest = &rest[close..];
        }
    }
    pieces
}

/// Sections, headings, tables with their headings, figures and folded parts, indented by depth; text without digits.
fn skeleton(page: &str) -> String {
    const SHOWN: &[&str] = &[
        "header",
        "aside",
        "section",
        "footer",
        "article",
        "figure",
        "table",
        "details",
        "h1",
        "h2",
        "h3",
        "summary",
        "th",
        "dt",
        "figcaption",
        "img",
    ];
    let mut out = String::new();
    let mut depth = 0usize;
    let mut words = false;
    for piece in pieces(page) {
        match piece {
            Piece::Open(name, rest) if SHOWN.contains(&name) => {
                let id = rest.split("id=\"").nth(1).and_then(|r| r.split('"').next()).map(|id| format!(" #{id}")).unwrap_or_default();
                out += &format!("\n{}{name}{id}", "  ".repeat(depth));
                depth += usize::from(name != "img");
                words = matches!(name, "h1" | "h2" | "h3" | "summary" | "th" | "dt" | "figcaption");
                out += if words { ": " } else { "" };
            }
            Piece::Close(name) if SHOWN.contains(&name) => (depth, words) = (depth - 1, false),
            Piece::Open("small" | "br", _) if words => out.push(' '),
            Piece::Text(text) if words => out += &text.trim_matches('\n').chars().filter(|c| !c.is_ascii_digit()).collect::<String>(),
            _ => {}
        }
    }
    let mut lines: Vec<&str> = out.lines().filter(|l| !l.is_empty()).collect();
    // Rows and cards that look alike need not all be seen.
    lines.dedup();
    lines.join("\n")
}

fn all() -> Vec<(&'static str, Summary)> {
    vec![
        ("swap", fixture::swap()),
        ("plain", fixture::plain()),
        ("many", fixture::many_classes()),
        ("subject", fixture::subject_alone()),
        ("never seen", fixture::subject_with_original(3)),
        ("empty", fixture::empty()),
    ]
}

#[test]
fn page_skeleton() {
    insta::assert_snapshot!(skeleton(&html(&fixture::swap())));
}

#[test]
fn page_skeleton_of_an_audit_without_oracles() {
    insta::assert_snapshot!(skeleton(&html(&fixture::subject_alone())));
}

#[test]
fn markdown_of_a_swap() {
    insta::assert_snapshot!(markdown(&fixture::swap()));
}

#[test]
fn markdown_without_oracles() {
    insta::assert_snapshot!(markdown(&fixture::subject_alone()));
}

#[test]
fn comparison() {
    let runs = [("first".to_owned(), fixture::swap()), ("second".to_owned(), fixture::plain()), ("audit".to_owned(), fixture::subject_alone())];
    insta::assert_snapshot!(compare(&runs));
    assert!(compare(&[]).starts_with("| run"));
}

/// Every page: of each summary, and of studies.
fn pages() -> Vec<(&'static str, String)> {
    let runs = all().into_iter().map(|(name, summary)| (name, html(&summary)));
    runs.chain([("study", study_page(vec![fixture::swap(), fixture::swap()])), ("study of nothing", study_page(vec![fixture::empty()]))]).collect()
}

/// The page of a study of `runs`, with the first as their mean.
fn study_page(runs: Vec<Summary>) -> String {
    page_of_study(Pairs::Drawn(runs.len()), runs)
}

fn page_of_study(pairs: Pairs, runs: Vec<Summary>) -> String {
    let named: Vec<(String, Summary)> = runs.into_iter().enumerate().map(|(i, s)| (format!("pair-{}-6-3", i + 1), s)).collect();
    let means = vec![("pair-1-6-3-mean".to_owned(), named[0].1.clone())];
    let rows = |runs: &[(String, Summary)]| runs.iter().flat_map(|(name, s)| study::rows(name, Some(0), &s.scores, 10, &[])).collect::<Vec<_>>();
    let (rows, of_means) = (rows(&named), rows(&means));
    let methods = study::methods(&rows, &of_means);
    let report = study::Report {
        format: 1,
        dataset: "a&b".to_owned(),
        pairs,
        seed: 0,
        seeds: 1,
        oracles: 3,
        epochs: None,
        set: vec!["regrow@b.cut=<i>".to_owned()],
        rows,
        means: of_means,
        methods,
    };
    super::study(&report, &named, &means)
}

#[test]
fn study_skeleton() {
    insta::assert_snapshot!(skeleton(&study_page(vec![fixture::swap(), fixture::swap()])));
}

#[test]
fn a_study_draws_every_judged_model_and_oracle_of_every_run() {
    let once = study_page(vec![fixture::swap()]);
    let twice = study_page(vec![fixture::swap(), fixture::swap()]);
    let marks = |page: &str| {
        let plot = page.split("<svg class=\"plot\"").nth(1).and_then(|p| p.split("</svg>").next()).expect("a plot");
        plot.matches("class=\"mark\"").count()
    };
    let drawn = fixture::swap().scores.verdict.iter().filter(|v| v.kind != ModelKind::Original).count();
    assert_eq!((marks(&once), marks(&twice)), (drawn, 2 * drawn));
    assert!(twice.contains("href=\"pair-2-6-3/report.html\"") && !twice.contains("pair-1-6-3-mean/report.html"));
    assert!(once.contains("a&amp;b: 1 pair drawn at random") && !once.contains("a&b"));
    assert!(once.contains("regrow@b.cut=&lt;i&gt;"));
    let named = page_of_study(Pairs::Named { forget: "6".to_owned(), learn: Some("3".to_owned()) }, vec![fixture::swap()]);
    assert!(named.contains("a&amp;b: 1 pair by name") && !named.contains("nobody chose") && once.contains("nobody chose"));
    assert!(study_page(vec![fixture::empty()]).contains("nothing was judged"));
}

#[test]
fn tags_are_balanced() {
    const VOID: &[&str] = &["!DOCTYPE", "meta", "br", "wbr", "img"];
    for (name, page) in pages() {
        let mut open = Vec::new();
        for piece in pieces(&page) {
            match piece {
                Piece::Open(tag, rest) if !VOID.contains(&tag) && !rest.ends_with('/') => open.push(tag),
                Piece::Close(tag) => assert_eq!(open.pop(), Some(tag), "{name}"),
                _ => {}
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn page_stands_alone() {
    for (name, page) in pages() {
        for outside in ["http", "url(", "@import", "<link", "src=\"/", "//"] {
            // Base64 may hold two slashes in a row.
            let page = if outside == "//" {
                page.replace("base64,", "\0").split('\0').map(|p| p.split_once('"').map_or(p, |(_, rest)| rest)).collect()
            } else {
                page.clone()
            };
            assert!(!page.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn same_summary_gives_same_bytes() {
    for (_, summary) in all() {
        assert_eq!(html(&summary), html(&summary.clone()));
    }
}

#[test]
fn a_count_that_had_no_end_says_so() {
    let mut summary = all().remove(0).1;
    let like = summary.scores.scores.iter().find(|s| s.oracle_mean.is_some() && s.oracles == 3).expect("judged by three").clone();
    summary.scores.scores.push(Score {
        metric: "steps_without_end".into(),
        unit: "steps".into(),
        value: Some(32.0),
        at_least: true,
        oracle_mean: Some(30.0),
        oracle_sd: Some(2.0),
        oracles_at_least: 2,
        gap: None,
        z: None,
        within: None,
        ..like
    });
    let page = html(&summary);
    assert!(page.contains("it takes this many at least\">≥ 32.0</span>"), "the model's");
    assert!(page.contains("not reached by 2 of 3 oracles: it takes this many at least\">≥ 30.0<small>"), "the oracles'");
}

#[test]
fn undefined_never_prints_as_a_number() {
    for (name, mut summary) in all() {
        for score in &mut summary.scores.scores {
            score.value = Some(f64::NAN);
            (score.oracle_mean, score.gap, score.z, score.tolerance) = (Some(f64::INFINITY), Some(f64::NAN), Some(f64::NEG_INFINITY), Some(f64::NAN));
        }
        for row in summary.curves.iter_mut().flat_map(|c| &mut c.rows) {
            (row.loss, row.accuracy, row.l_var, row.l_max) = (f64::NAN, f64::INFINITY, f64::NAN, f64::INFINITY);
        }
        for output in &mut summary.outputs {
            output.confusion_softmax.iter_mut().chain(&mut output.old_samples).flatten().for_each(|p| *p = f64::NAN);
        }
        for cost in &mut summary.scores.cost {
            (cost.wall_s, cost.share_of_retrain, cost.train_passes) = (f64::NAN, Some(f64::NAN), f64::INFINITY);
        }
        summary.scores.oracle_agreement = Some(f64::NAN);
        for family in summary.scores.verdict.iter_mut().flat_map(|v| &mut v.families) {
            (family.excess, family.excess_limit, family.farthest, family.worst_bands) =
                (f64::NAN, f64::INFINITY, Some(f64::NAN), Some(f64::INFINITY));
        }
        summary.scores.calibration.iter_mut().for_each(|c| (c.confidence, c.widened_excess) = (f64::NAN, f64::INFINITY));
        summary.scores.audit_agreement.iter_mut().for_each(|a| a.tau_b.iter_mut().flatten().for_each(|t| *t = Some(f64::NAN)));
        for exhibit in summary.outputs.iter_mut().flat_map(|o| &mut o.exhibits) {
            if let Content::Curve { points, .. } = &mut exhibit.content {
                points[0] = (f64::NAN, 1.0);
                points[1] = (1.0, f64::INFINITY);
            }
        }
        let texts = [html(&summary), markdown(&summary), compare(&[(name.to_owned(), summary.clone())]), study_page(vec![summary])];
        for text in texts {
            let text = text.replace(super::STYLE, "");
            assert!(!text.contains("NaN") && !text.contains(">inf") && !text.contains("inf ") && !text.contains("-inf"), "{name}");
        }
    }
}

#[test]
fn undefined_is_a_dash_that_says_so() {
    assert!(html(&fixture::swap()).contains(r#"<span class="undefined" title="undefined">–</span>"#));
}

#[test]
fn strings_of_the_summary_are_never_markup() {
    let evil = "<script>alert(1)</script>\" onload='x'";
    let mut summary = fixture::swap();
    let task = &mut summary.scores.task;
    for name in task.names_before.iter_mut().chain(&mut task.names_after).chain([&mut task.dataset, &mut task.forget_name]) {
        *name = evil.to_owned();
    }
    task.learn_name = Some(evil.to_owned());
    summary.scores.warnings.push(evil.to_owned());
    summary.config += evil;
    summary.samples.old[0] = evil.to_owned();
    summary.scores.verdict.iter_mut().for_each(|v| {
        (v.model, v.verdict) = (evil.to_owned(), evil.to_owned());
        v.failing.push(evil.to_owned());
    });
    for score in &mut summary.scores.scores {
        (score.model, score.audit, score.unit) = (evil.to_owned(), evil.to_owned(), evil.to_owned());
        score.metric += evil;
        score.cut = score.cut.as_ref().map(|c| c.clone() + evil);
    }
    for output in &mut summary.outputs {
        output.model += evil;
        output.slots.iter_mut().chain(&mut output.rows).for_each(|s| *s = evil.to_owned());
    }
    summary.curves.iter_mut().for_each(|c| c.model += evil);
    summary.scores.cost.iter_mut().for_each(|c| c.model += evil);
    for family in summary.scores.verdict.iter_mut().flat_map(|v| &mut v.families) {
        (family.worst, family.direction) = (Some(evil.to_owned()), Some(evil.to_owned()));
    }
    summary.scores.audit_agreement.iter_mut().for_each(|a| a.audits.iter_mut().for_each(|name| *name = evil.to_owned()));
    for exhibit in summary.outputs.iter_mut().flat_map(|o| &mut o.exhibits) {
        (exhibit.audit, exhibit.title, exhibit.note) = (evil.to_owned(), evil.to_owned(), evil.to_owned());
        match &mut exhibit.content {
            Content::Curve { x, y, .. } => (x.label, y.label) = (evil.to_owned(), evil.to_owned()),
            Content::Pictures(pictures) => pictures.iter_mut().for_each(|p| (p.caption, p.png) = (evil.to_owned(), evil.to_owned())),
        }
    }
    summary.legend.push((evil.to_owned(), evil.to_owned()));
    let page = html(&summary);
    // The page's own script is the only one, and nothing breaks out of an attribute.
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("\" onload"));
    assert!(page.contains("&lt;script&gt;"));
    assert!(!markdown(&summary).contains("<script"));
}

#[test]
fn ragged_outputs_do_not_panic() {
    let mut summary = fixture::swap();
    for output in &mut summary.outputs {
        output.rows.truncate(2);
        output.slots.truncate(1);
        output.confusion_argmax.clear();
        output.old_samples.truncate(1);
        output.new_samples.clear();
    }
    summary.curves.iter_mut().for_each(|c| c.rows.truncate(1));
    html(&summary);
    summary.curves.iter_mut().for_each(|c| c.rows.clear());
    summary.outputs.iter_mut().for_each(|o| (o.slots.clear(), o.rows.clear()).1);
    html(&summary);
}

#[test]
fn without_oracles_the_page_says_that_there_is_no_verdict() {
    let page = html(&fixture::subject_alone());
    assert!(page.contains("no verdict: no oracles"));
    assert!(page.contains("Is “6” erased from the audited model, or only hidden?"));
    assert!(markdown(&fixture::subject_alone()).contains("no verdict: no oracles"));
}

#[test]
fn control_that_passes_is_shouted_about() {
    let mut summary = fixture::swap();
    assert!(html(&summary).contains("The negative control fails, as it should."));
    summary.scores.verdict.iter_mut().filter(|v| v.kind == ModelKind::Control).for_each(|v| v.verdict = "matched".to_owned());
    let page = html(&summary);
    assert!(page.contains("note alarm") && page.contains("1 of 1 negative control passed"));
}

#[test]
fn controls_are_named_with_what_they_did() {
    let mut summary = fixture::swap();
    let behaving = "3 of 3 held-out oracles are matched, as they must be; not matched, as must be: original, ";
    assert!(html(&summary).contains(behaving) && markdown(&summary).contains(behaving), "{}", markdown(&summary));
    summary.scores.controls.iter_mut().for_each(|c| c.behaves = Some(false));
    assert!(markdown(&summary).contains("Controls – 0 of 3 held-out oracles are matched, as they must be; MATCHED, WHICH MUST NOT BE: original, "));
    summary.scores.controls.iter_mut().for_each(|c| c.behaves = None);
    assert!(!markdown(&summary).contains("Controls –"), "without verdicts they say nothing");
}

#[test]
fn what_is_undefined_says_why() {
    let mut summary = fixture::swap();
    let score = &mut summary.scores.scores[0];
    (score.value, score.gap, score.within, score.reason) = (None, None, None, Some("200 images & no more".to_owned()));
    let metric = score.metric.replace('_', "_<wbr>");
    let page = html(&summary);
    assert!(page.contains(&format!("<li>200 images &amp; no more – <code>{metric}</code></li>")), "beneath the table");
    assert!(page.contains("title=\"undefined: 200 images &amp; no more\""), "at the cell");
}

#[test]
fn every_model_has_its_families_with_the_worst_figure() {
    let page = html(&fixture::swap());
    let table = page.split("id=\"families\"").nth(1).and_then(|p| p.split("</section>").next()).expect("there");
    // The original, three oracles, four methods, one control.
    assert_eq!(table.matches("<tr><th scope=\"row\">").count(), 9);
    assert!(table.contains("<th scope=\"col\">utility") && table.contains("<th scope=\"col\">relearning") && !table.contains("membership"));
    assert!(table.contains("beyond its limits, above the oracles") && table.contains("beyond its limits, below the oracles"));
    assert!(page.contains("Held out, 3 of 3 oracles are matched, 2 of them without any widening; the limits of output were made 1.20 times as wide"));
    assert!(markdown(&fixture::swap()).contains("Held out, 3 of 3 oracles"));
}

#[test]
fn exhibits_of_all_models_share_a_plot_and_pictures_a_row_each() {
    let page = html(&fixture::swap());
    let part = page.split("id=\"exhibits\"").nth(1).and_then(|p| p.split("</section>").next()).expect("there");
    assert_eq!(part.matches("<svg class=\"plot\"").count(), 1);
    assert!(part.contains("accuracy by steps (logarithmic), for original, regrow, "), "{part}");
    // The original, one oracle and the judged models.
    assert_eq!(part.matches("class=\"gallery\"").count(), 7);
    assert_eq!(part.matches("data:image/png;base64,").count(), 7);
}

#[test]
fn the_class_that_suffers_is_named() {
    let mut summary = fixture::swap();
    let output = summary.outputs.iter_mut().find(|o| o.model == "finetune").expect("there");
    let slots = output.slots.len();
    let row = output.rows.iter().position(|r| r == "8").expect("a retained class");
    output.confusion_argmax[row] = (0..slots).map(|j| if j == 0 { 100 } else { 0 }).collect();
    let page = html(&summary);
    assert!(page.contains("<small>worst: 8</small>"));
    assert!(page.contains("What “6” is taken for"));
    assert!(page.contains("Least alike: output and accuracy, −0.200."));
}

#[test]
fn nothing_is_called_certified() {
    for (_, summary) in all() {
        assert!(!html(&summary).to_lowercase().contains("certified"));
    }
}

#[test]
fn large_head_keeps_the_page_small() {
    assert!(html(&fixture::many_classes()).len() < 2_000_000);
}

#[test]
fn without_oracles_the_classes_never_seen_are_the_yardstick() {
    let summary = fixture::subject_with_original(3);
    let page = html(&summary);
    let depth = &page[page.find("id=\"depth\"").expect("a section")..page.find("id=\"never-seen\"").expect("a section behind it")];
    // Drawn with what is found of the old class, not as a figure of its own.
    assert_eq!(depth.matches("class=\"band expected\"").count(), 1);
    assert!(depth.contains("expected of a class never seen") && !depth.contains("expected_<wbr>") && !depth.contains("The grey band"));
    let text = markdown(&summary);
    assert!(text.contains("3 classes of the data set that the original was not trained on"), "{text}");
    assert!(text.contains("| ridge accuracy old, stage1, %"), "{text}");
    // 85 % by the subject where 82 ± 1.3 % are expected and the classes' mean is 80 ± 2.1 %.
    let row = text.lines().find(|l| l.contains("stage1")).expect("a row");
    for cell in ["82.0 ± 1.3", "80.0 ± 2.1", "85.0 (+3.0)", "87.0 (+5.0)"] {
        assert!(row.contains(cell), "{row}");
    }
}

#[test]
fn where_nothing_is_expected_the_reader_learns_why() {
    let summary = fixture::subject_with_original(0);
    for text in [html(&summary), markdown(&summary)] {
        assert!(text.contains("The original saw every class of mnist"), "{text}");
    }
    assert!(!html(&summary).contains("band expected"));
    // Beside oracles the table is folded on the page, and not in the text.
    assert!(!markdown(&fixture::swap()).contains("expected"));
}
