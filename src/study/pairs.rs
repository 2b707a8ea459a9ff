//! Which pairs a study swaps, drawn or named, in originals of which classes, and how these are trained.

use rand::seq::SliceRandom;
use serde::Serialize;

use super::{Study, StudySettings};
use crate::config::Settings;
use crate::context::Schedule;
use crate::data::{ClassMap, Dataset, Swap, classes};
use crate::error::{Error, Result};
use crate::rng;

/// Most classes of an original, and of one of colour images: the founding notebooks'.
const MOST_CLASSES: usize = 20;
const MOST_COLOUR_CLASSES: usize = 8;
/// Images that a network meets in its training, each time it meets one counted: where a held-out part of the training images stops to
/// gain (`cnn-s`, emnist-derived47: 88.3, 89.4, 89.3 % after 10, 20, 40 epochs of 9,600 images; MNIST: 99.1, 99.0, 98.9 % after 5, 10, 20 of
/// 54,000).
const GREY_IMAGES: usize = 240_000;
/// The same for colour images, which take a deeper network: not where it stops to gain (that is beyond 30 epochs of CIFAR-10), but what two
/// cores train in 20 minutes.
const COLOUR_IMAGES: usize = 600_000;

/// The pairs of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Pairs {
    /// So many, at least one, drawn by the seed.
    Drawn(usize),
    /// These, as the user wrote them.
    Named {
        /// The old classes.
        forget: String,
        /// The new ones, in that order; none in plain unlearning.
        learn: Option<String>,
    },
}

impl Pairs {
    /// Those that `settings` ask for.
    ///
    /// # Errors
    /// Both kinds at once; new classes without old ones.
    pub(super) fn of(settings: &StudySettings) -> Result<Self> {
        match (&settings.forget, settings.pairs) {
            (Some(_), Some(_)) => {
                let what = "with --pairs, which has pairs drawn";
                Err(Error::input("--forget", what, "leave one of them out: pairs are either drawn or named"))
            }
            (Some(forget), None) => Ok(Self::Named { forget: forget.clone(), learn: settings.learn.clone() }),
            (None, _) if settings.learn.is_some() => {
                Err(Error::input("--learn", "new classes, and no old ones", "name those, too: --forget, in the same order"))
            }
            (None, pairs) => Ok(Self::Drawn(pairs.unwrap_or(3))),
        }
    }

    /// Whether nobody chose them.
    pub fn drawn(&self) -> bool {
        matches!(self, Self::Drawn(_))
    }
}

/// One swap of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The original's classes.
    pub before: ClassMap,
    /// The swap.
    pub swap: Swap,
}

impl Study {
    /// Every pair: of `dataset`'s classes in an order drawn from the stream `study` the first become the original's (at most 20, of colour images
    /// 8, at least one left out), the first of them is the old one, the first one left out the new one. Where a swap is named its old class is put
    /// first and its new one is left out.
    ///
    /// # Errors
    /// A data set of fewer than three classes; swaps of classes that it does not have, or has no images of.
    pub fn pairs(&self, dataset: &Dataset) -> Result<Vec<Pair>> {
        match &self.pairs {
            Pairs::Drawn(pairs) => (0..*pairs).map(|index| pair(dataset, self.seed, index, None)).collect(),
            Pairs::Named { forget, learn } => {
                let swaps = classes::parse_swaps(forget, learn.as_deref(), dataset)?;
                swaps.into_iter().enumerate().map(|(index, swap)| pair(dataset, self.seed, index, Some(swap))).collect()
            }
        }
    }
}

/// Pair number `index` of a study with `seed`.
fn pair(dataset: &Dataset, seed: u64, index: usize, named: Option<Swap>) -> Result<Pair> {
    let mut order = dataset.usable_classes();
    if order.len() < 3 {
        let what = format!("{} classes with images: a study needs three to draw from", order.len());
        return Err(Error::input(&dataset.name, what, "use another data set"));
    }
    if let Some(class) = named.iter().flat_map(|s| [Some(s.forget), s.learn]).flatten().find(|c| !order.contains(c)) {
        let what = format!("class {} ({}) has no training or no test images", class.0, dataset.class_name(class));
        return Err(Error::input(&dataset.name, what, "name classes that have both"));
    }
    order.shuffle(&mut rng::stream(seed, "study", index as u64));
    let count = (order.len() - 1).min(if is_grey(dataset) { MOST_CLASSES } else { MOST_COLOUR_CLASSES });
    let swap = named.unwrap_or(Swap { forget: order[0], learn: Some(order[count]) });
    order.retain(|class| *class != swap.forget && Some(*class) != swap.learn);
    let mut before = [&[swap.forget], &order[..order.len().min(count - 1)]].concat();
    before.sort();
    let before = ClassMap::new(before)?;
    before.swapped(swap)?;
    Ok(Pair { before, swap })
}

fn is_grey(dataset: &Dataset) -> bool {
    dataset.shape()[0] == 1
}

/// How networks are trained on `images` images of `dataset`.
pub fn recipe(dataset: &Dataset, images: usize) -> Settings {
    let grey = is_grey(dataset);
    let wanted = if grey { GREY_IMAGES } else { COLOUR_IMAGES };
    Settings {
        arch: Some(if grey { "cnn-s" } else { "resnet20" }.into()),
        epochs: Some(wanted.div_ceil(images.max(1)).clamp(5, 60)),
        batch: Some(if grey { 64 } else { 128 }),
        lr: Some(if grey { 5e-3 } else { 3e-3 }),
        schedule: Some(Schedule::Cosine),
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::of_blobs;
    use super::*;
    use crate::data::synthetic;

    #[test]
    fn named_pairs_are_of_any_classes_and_all_else_is_drawn() {
        let set = synthetic::blobs().expect("made on the spot");
        let named = |forget: &str, learn: Option<&str>| {
            let settings = StudySettings { forget: Some(forget.into()), learn: learn.map(Into::into), ..of_blobs() };
            Study::try_from(&settings).expect("complete").pairs(&set)
        };
        let pairs = named("0,centre", Some("sides,north-west")).expect("a pair each");
        assert_eq!(pairs.iter().map(|p| p.swap.label()).collect::<Vec<_>>(), ["0-5", "4-0"]);
        for pair in &pairs {
            assert!(pair.before.len() == set.class_names.len() - 1 && pair.before.swapped(pair.swap).is_ok());
        }
        // What is drawn is drawn as for pairs that are: naming those changes nothing.
        let drawn = Study::try_from(&StudySettings { pairs: Some(1), ..of_blobs() }).expect("complete").pairs(&set).expect("enough classes");
        let Swap { forget, learn } = drawn[0].swap;
        assert_eq!(named(&forget.0.to_string(), learn.map(|c| c.0.to_string()).as_deref()).expect("that one"), drawn);
        assert_eq!(named("centre", None).expect("plain unlearning")[0].swap.learn, None);
        for (forget, learn, says) in
            [("0", "0", "also the class to forget"), ("0,1", "2", "1 to learn, 2 to forget"), ("0", "middle", "no class of blobs")]
        {
            assert!(named(forget, Some(learn)).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn pairs_are_drawn_or_named_and_flags_win_over_the_file() {
        let drawn = StudySettings { pairs: Some(2), ..of_blobs() };
        let named = StudySettings { forget: Some("0".into()), learn: Some("1".into()), ..of_blobs() };
        let pairs = |settings: StudySettings| Study::try_from(&settings).map(|study| study.pairs);
        assert_eq!(pairs(drawn.clone().or(named.clone())).expect("drawn"), Pairs::Drawn(2));
        assert_eq!(pairs(named.clone().or(drawn)).expect("named"), Pairs::Named { forget: "0".into(), learn: Some("1".into()) });
        for (settings, says) in [
            (StudySettings { pairs: Some(2), ..named.clone() }, "either drawn or named"),
            (StudySettings { forget: None, ..named }, "new classes, and no old ones"),
        ] {
            assert!(pairs(settings).expect_err("refused").to_string().contains(says), "{says}");
        }
    }

    #[test]
    fn pairs_are_possible_swaps_and_repeat() {
        let set = synthetic::blobs().expect("made on the spot");
        let mut seen = std::collections::BTreeSet::new();
        let drawn = |pairs| Study::try_from(&StudySettings { pairs: Some(pairs), seed: Some(3), ..of_blobs() }).expect("complete").pairs(&set);
        let pairs = drawn(20).expect("enough classes");
        assert_eq!(pairs[..7], drawn(7).expect("enough classes"), "more of them are further ones");
        for pair in pairs {
            assert_eq!(pair.before.len(), set.class_names.len() - 1);
            pair.before.swapped(pair.swap).expect("a possible swap");
            seen.insert((pair.swap.forget, pair.swap.learn));
        }
        assert!(seen.len() > 5, "pairs differ: {seen:?}");
    }
}
