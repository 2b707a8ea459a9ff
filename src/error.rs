//! One error type for the library: what is wrong, where, and the remedy.

use std::path::Path;

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. [`Error::exit_code`] tells bad input (2) from a failed run (1).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user gave something that can't be used: a file, a flag, a class list.
    #[error("{at}: {what}\n  remedy: {remedy}")]
    Input {
        /// The file, flag or value at fault.
        at: String,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// A run that began properly could not finish.
    #[error("{at}: {what}\n  remedy: {remedy}")]
    Failed {
        /// The stage at fault.
        at: String,
        /// What happened.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// A method or audit asked for data that its registry entry does not name.
    #[error("{role} set: refused, because `{who}` does not declare that it needs it\n  remedy: name it in the entry's `needs`")]
    Forbidden {
        /// `retain`, `forget` or `learn`.
        role: &'static str,
        /// Name of the method.
        who: String,
    },
    /// The training of `model` came to values that are no numbers.
    #[error("training of {model}: it diverged: {what}\n  remedy: use a smaller learning rate")]
    Diverged {
        /// Name of the model.
        model: String,
        /// What was no number, and when.
        what: String,
    },
    /// Ctrl-C.
    #[error(
        "interrupted; what a run directory or the store holds already is kept\n  remedy: the same command again, which goes on with it where it has --resume, and \
         else begins anew"
    )]
    Interrupted,
    /// The operating system refused to read or write.
    #[error("{at}: {source}\n  remedy: check that the path exists, its permissions and the free space")]
    Io {
        /// The path at fault.
        at: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl Error {
    /// Bad input: `at` is the file or flag, `what` is wrong with it, `remedy` mends it.
    pub fn input(at: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Input { at: at.into(), what: what.into(), remedy: remedy.into() }
    }

    /// A failed run.
    pub fn failed(at: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { at: at.into(), what: what.into(), remedy: remedy.into() }
    }

    /// An operating-system error at `path`; for `map_err(Error::io(path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let at = path.as_ref().display().to_string();
        move |source| Self::Io { at, source }
    }

    /// Process exit code: 2 for bad input, 130 for Ctrl-C (the shell's convention), 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. } => 2,
            Self::Interrupted => 130,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 2,
            _ => 1,
        }
    }
}

/// `value`'s nearest neighbour in `valid` by Jaro-Winkler similarity (among equals, by the fewest edits), as advice: ``did you mean `x`?`` or the whole list.
pub fn did_you_mean<'a>(value: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    let scored = valid.iter().map(|v| (strsim::jaro_winkler(value, v), strsim::normalized_damerau_levenshtein(value, v), v));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    match best {
        Some((score, _, name)) if score > 0.75 => format!("did you mean `{name}`? valid: {}", valid.join(", ")),
        _ => format!("valid: {}", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_offered() {
        assert_eq!(did_you_mean("finetun", ["retrain", "finetune"]), "did you mean `finetune`? valid: retrain, finetune");
        assert_eq!(did_you_mean("net21", ["net20", "net18"]), "did you mean `net20`? valid: net20, net18");
        assert_eq!(did_you_mean("zzz", ["retrain", "finetune"]), "valid: retrain, finetune");
    }
}
