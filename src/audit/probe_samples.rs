//! How much of the training set read-outs are fitted on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Training images whose activations read-outs are fitted on; a fifth of a number are of the old class, where it has as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum ProbeSamples {
    /// All of them.
    All,
    /// So many at most, evenly spread.
    AtMost(usize),
}

/// One in so many is of the old class: enough of either to tell one class from many.
const OLD: usize = 5;
/// A read-out is fitted on [`super::shares::FEWEST`] of either at least.
const FEWEST: usize = OLD * super::shares::FEWEST;

impl ProbeSamples {
    /// How many of the old class, or of all others, at most.
    pub fn most(self, old: bool) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::AtMost(n) if old => n / OLD,
            Self::AtMost(n) => n - n / OLD,
        }
    }

    /// Is it what nobody has to ask for?
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for ProbeSamples {
    fn default() -> Self {
        Self::AtMost(5000)
    }
}

impl FromStr for ProbeSamples {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(n) if n >= FEWEST => Ok(Self::AtMost(n)),
            Err(_) if text == "all" => Ok(Self::All),
            _ => Err(Error::input("probe-samples", format!("`{text}` is no number of training images"), format!("use {FEWEST} or more, or `all`"))),
        }
    }
}

impl fmt::Display for ProbeSamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::AtMost(n) => n.fmt(f),
        }
    }
}

/// As it stands in a file: a number, or a word.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "neither a number of training images nor `all`")]
enum Written {
    Number(usize),
    Word(String),
}

impl TryFrom<Written> for ProbeSamples {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Number(n) => n.to_string().parse(),
            Written::Word(word) => word.parse(),
        }
    }
}

impl From<ProbeSamples> for Written {
    fn from(samples: ProbeSamples) -> Self {
        match samples {
            ProbeSamples::All => Self::Word("all".into()),
            ProbeSamples::AtMost(n) => Self::Number(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::super::{AuditData, PartName};
    use super::*;
    use crate::data::Role;

    #[test]
    fn it_is_read_as_it_is_written() {
        for samples in [ProbeSamples::All, ProbeSamples::AtMost(25), ProbeSamples::default()] {
            assert_eq!(samples.to_string().parse::<ProbeSamples>().expect("valid"), samples);
            let json = serde_json::to_string(&samples).expect("written");
            assert_eq!(serde_json::from_str::<ProbeSamples>(&json).expect("read"), samples, "{json}");
        }
        for bad in ["24", "-1", "many", "", "2.5"] {
            assert!(bad.parse::<ProbeSamples>().is_err_and(|e| e.to_string().contains("25 or more, or `all`")), "{bad}");
        }
        assert!(serde_json::from_str::<ProbeSamples>("true").is_err_and(|e| e.to_string().contains("neither a number")));
    }

    #[test]
    fn read_outs_are_fitted_on_as_many() {
        let fixture = Fixture::new();
        let sides = |probe| {
            let data = AuditData::new(fixture.data.task.clone(), probe, 0).expect("open");
            let old = data.is_old(PartName::Train);
            assert_eq!(data.feature_classes(PartName::Test).len(), fixture.data.feature_classes(PartName::Test).len(), "tested on all");
            (old.iter().filter(|o| **o).count(), old.iter().filter(|o| !**o).count())
        };
        let whole = |role| fixture.data.set(role, PartName::Train).expect("a swap has it").len();
        let (old, rest) = (whole(Role::Forget), whole(Role::Retain) + whole(Role::Learn));
        assert_eq!(sides(ProbeSamples::All), (old, rest));
        assert_eq!(sides(ProbeSamples::AtMost(30)), (6, 24));
        // A side that has fewer gives all it has.
        assert_eq!(sides(ProbeSamples::AtMost(5 * old + 5)), (old, rest.min(4 * old + 4)));
    }

    #[test]
    fn a_number_is_divided_between_the_sides() {
        for n in [25, 26, 29, 5000] {
            let samples = ProbeSamples::AtMost(n);
            assert_eq!(samples.most(true) + samples.most(false), n);
        }
        assert_eq!((ProbeSamples::default().most(true), ProbeSamples::default().most(false)), (1000, 4000));
    }
}
