//! Puts the git commit into the binary, for provenance, with a hash of what was changed since; `unknown` outside a checkout.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

fn main() {
    let git = |args: &[&str]| Command::new("git").args(args).output().ok().filter(|o| o.status.success()).map(|o| o.stdout);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).and_then(|o| String::from_utf8(o).ok());
    let changed = git(&["diff", "HEAD", "--", "src", "assets", "build.rs", "Cargo.toml", "Cargo.lock"]).filter(|diff| !diff.is_empty());
    let changed = changed.map_or_else(String::new, |diff| {
        let mut hasher = DefaultHasher::new();
        diff.hash(&mut hasher);
        format!("-changed-{:08x}", hasher.finish() as u32)
    });
    let commit = commit.map_or_else(|| "unknown".to_string(), |s| s.trim().to_string());
    println!("cargo::rustc-env=UNLEARN_COMMIT={commit}{changed}");
    ["src", "assets", "build.rs", "Cargo.toml", "Cargo.lock"].iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
}
