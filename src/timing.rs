//! Under which conditions a wall time was taken: times are compared only where these agree.

use serde::{Deserialize, Serialize};

use crate::kernels::{self, simd::Isa};

/// What a wall time depends on beside the work itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The host's name as the first 12 hex digits of its SHA-256 (stores are shared, names of machines need not be); none where it can't be
    /// found out.
    pub host: Option<String>,
    /// Model of the CPU, else its architecture.
    pub cpu: String,
    /// Logical cores that the process may use.
    pub cores: usize,
    /// Instruction set of the kernels, as in `UNLEARN_ISA`; `burn` where burn's own operations run instead.
    pub isa: String,
    /// Threads that the work had.
    pub threads: usize,
    /// Version, git commit and kind of the build.
    pub build: String,
}

impl Conditions {
    /// Those of work begun now on the calling thread's pool.
    pub fn now() -> Self {
        let kind = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            host: host().map(|name| hashed(&name)),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_string()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            isa: if kernels::in_use() { Isa::current().name() } else { "burn" }.to_string(),
            threads: rayon::current_num_threads(),
            build: format!("{} {} {kind}", env!("CARGO_PKG_VERSION"), env!("UNLEARN_COMMIT")),
        }
    }

    /// Whether times taken under these and under `other` can be compared. Not where the host is unknown: it may be another one.
    pub fn comparable(&self, other: &Self) -> bool {
        self.host.is_some() && self == other
    }
}

fn hashed(name: &str) -> String {
    use sha2::{Digest, Sha256};
    crate::hex(&Sha256::digest(name.as_bytes())[..6])
}

/// The kernel's name for this machine; where it has no file for that, what `hostname` prints.
fn host() -> Option<String> {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| {
        let ran = std::process::Command::new("hostname").output().ok().filter(|o| o.status.success())?;
        String::from_utf8(ran.stdout).ok()
    })?;
    Some(named.trim().to_string()).filter(|n| !n.is_empty())
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_like_conditions_compare() {
        let here = Conditions { host: Some("a".into()), ..Conditions::now() };
        assert!(here.comparable(&here.clone()));
        for other in [
            Conditions { host: Some("b".into()), ..here.clone() },
            Conditions { threads: here.threads + 1, ..here.clone() },
            Conditions { build: "another".into(), ..here.clone() },
            Conditions { isa: "another".into(), ..here.clone() },
        ] {
            assert!(!here.comparable(&other), "{other:?}");
        }
        let nowhere = Conditions { host: None, ..here };
        assert!(!nowhere.comparable(&nowhere.clone()), "an unknown host may be any");
    }
}
