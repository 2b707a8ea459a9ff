//! `unlearn inspect`: what a checkpoint says about itself.

use std::path::Path;

use serde_json::json;
use unlearn::error::Result;
use unlearn::model::{checkpoint, tensors::is_statistic};
use unlearn::output::{Output, table};

use super::print_json;

pub fn inspect(file: &Path, json: bool, output: &Output) -> Result<()> {
    let (metadata, tensors, sha256) = checkpoint::inspect(file)?;
    let parameters: usize = tensors.iter().filter(|(n, _, _)| !is_statistic(n)).map(|(_, _, s)| s.iter().product::<usize>()).sum();
    if json {
        let tensors: Vec<_> = tensors.iter().map(|(n, d, s)| json!({ "name": n, "dtype": d, "shape": s })).collect();
        return print_json(&json!({ "metadata": metadata, "sha256": sha256, "parameters": parameters, "tensors": tensors }), output);
    }
    let classes: Vec<String> = metadata.class_map.iter().zip(&metadata.class_names).map(|(c, n)| format!("{c} ({n})")).collect();
    let lines = [
        ("file", file.display().to_string()),
        ("sha256", sha256),
        ("architecture", metadata.architecture.clone()),
        ("input", format!("{:?}", metadata.input)),
        ("data set", metadata.dataset.clone()),
        ("classes by slot", classes.join(", ")),
        ("made by", format!("{} (unlearn {}, seed {})", metadata.made_by, metadata.version, metadata.seed)),
        ("config hash", metadata.config_hash.clone()),
        ("parents", if metadata.parents.is_empty() { "none".into() } else { metadata.parents.join(", ") }),
        ("parameters", parameters.to_string()),
    ];
    for (key, value) in lines {
        output.result(&format!("{key:<16} {value}"));
    }
    let rows: Vec<Vec<String>> = tensors.into_iter().map(|(n, d, s)| vec![n, d, format!("{s:?}")]).collect();
    output.result(&format!("\n{}", table(&["tensor", "type", "shape"], &rows)));
    Ok(())
}
