//! `unlearn list`: the registries.

use serde_json::{Value, json};
use unlearn::audit::AUDITS;
use unlearn::data::DATASETS;
use unlearn::error::Result;
use unlearn::method::METHODS;
use unlearn::model::arch::ARCHITECTURES;
use unlearn::output::{Output, table};

use super::print_json;
use crate::cli::What;

pub fn list(what: What, json: bool, output: &Output) -> Result<()> {
    let rows = rows(what);
    if json {
        return print_json(&rows, output);
    }
    let keys: Vec<&str> = match what {
        What::Methods => vec!["name", "summary", "needs", "parameters"],
        What::Audits => vec!["name", "summary", "source"],
        What::Models => vec!["name", "summary"],
        What::Data => vec!["name", "summary", "licence"],
    };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|r| keys.iter().map(|k| r[*k].as_str().map_or_else(|| joined(&r[*k]), str::to_string)).collect()).collect();
    output.result(&table(&keys, &cells));
    Ok(())
}

/// An array as `a, b`, an object as `a=1 b=2`.
fn joined(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(|v| v.as_str().unwrap_or_default().to_string()).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

fn rows(what: What) -> Vec<Value> {
    match what {
        What::Methods => METHODS
            .iter()
            .map(|m| {
                let needs: Vec<&str> = [("retain", m.needs.retain), ("forget", m.needs.forget), ("learn", m.needs.learn)]
                    .into_iter()
                    .filter(|n| n.1)
                    .map(|n| n.0)
                    .collect();
                json!({ "name": m.name, "summary": m.summary, "paper": m.paper, "needs": needs, "control": m.control, "parameters": (m.defaults)() })
            })
            .collect(),
        What::Audits => AUDITS.iter().map(|a| json!({ "name": a.name(), "summary": a.summary(), "source": a.source() })).collect(),
        What::Models => ARCHITECTURES.iter().map(|a| json!({ "name": a.name, "summary": a.summary })).collect(),
        What::Data => DATASETS.iter().map(|d| json!({ "name": d.name, "summary": d.summary, "licence": d.licence })).collect(),
    }
}
