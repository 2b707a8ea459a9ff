//! How the old class is taught again: who starts where, what is shown when, what is measured after.

use super::super::training::{self, BATCH, Rows};
use super::super::{AuditData, PartName};
use crate::data::{ClassId, Slot};
use crate::error::Result;
use crate::model::Classifier;
use crate::stats::{self, Logits};

/// Old-class test images that progress is measured on, at most; a few hundred give a rate to two or three points.
const TEST_OLD: usize = 200;
/// Other test images, at most.
const TEST_REST: usize = 300;

/// How many old-class training images are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shots {
    /// This many.
    Few(usize),
    /// All that the audits use.
    All,
}

impl Shots {
    /// Every number tried.
    pub const TRIED: [Self; 4] = [Self::Few(1), Self::Few(10), Self::Few(100), Self::All];

    /// As in the names of figures: `10`, `all`.
    pub fn name(self) -> String {
        match self {
            Self::Few(k) => k.to_string(),
            Self::All => "all".into(),
        }
    }
}

/// Stages under a head that knows nothing.
#[derive(Debug)]
pub struct Start {
    /// The model.
    pub model: Classifier,
    /// The classes of its slots: those after the swap, then the old class.
    pub head: Vec<ClassId>,
}

impl Start {
    /// The stages of `model` as every model starts: under a head of zeros for retain, new and old classes. A row added to a model's own head would
    /// be slowed by what the others' logits are like: by their size, by a masking bias, by a row that claims the old class.
    pub fn of(model: &Classifier, data: &AuditData) -> Result<Self> {
        let head: Vec<ClassId> = data.task.after.classes().iter().copied().chain([data.old()]).collect();
        Ok(Self { model: model.with_blank_head(head.len())?, head })
    }
}

/// The training rows of `steps` steps, [`BATCH`] a step: in turn one of `shots` old-class samples and one of retain ∪ learn. The order is that of
/// [`Rows`] over and over, so that one sample is among ten, ten are among a hundred, and the others are the same for all. None where the class has
/// fewer than `shots`, or where there is nothing else.
pub fn diet(data: &AuditData, shots: Shots, steps: usize) -> Option<Vec<usize>> {
    let Rows { old, rest } = Rows::of(data, "relearning");
    let given = match shots {
        Shots::Few(k) => old.get(..k)?,
        Shots::All => &old[..],
    };
    if given.is_empty() || rest.is_empty() {
        return None;
    }
    Some((0..steps * BATCH / 2).flat_map(|i| [given[i % given.len()], rest[i % rest.len()]]).collect())
}

/// The test rows (of `CutFeatures::test`) that progress is measured on: of the old class, and of the others.
pub fn test_rows(data: &AuditData) -> (Vec<usize>, Vec<usize>) {
    let classes = data.feature_classes(PartName::Test);
    let group = |old: bool| -> Vec<usize> { (0..classes.len()).filter(|i| (classes[*i] == data.old()) == old).collect() };
    (training::spread(&group(true), TEST_OLD), training::spread(&group(false), TEST_REST))
}

/// Informedness (Youden 1950: sensitivity + specificity − 1, twice the balanced accuracy's distance to chance): share of the first `old` rows whose
/// arg-max is `slot`, less the share of the others with it. 0 for never and for always answering the old class, 1 for perfect. NaN where a logit is
/// not finite, or one of the groups empty.
pub fn informedness(logits: &Logits, old: usize, Slot(slot): Slot) -> f64 {
    if logits.values.iter().any(|v| !v.is_finite()) {
        return f64::NAN;
    }
    let taken: Vec<bool> = logits.rows().map(|row| stats::argmax(row) == slot).collect();
    let share = |rows: &[bool]| rows.iter().filter(|t| **t).count() as f64 / rows.len() as f64;
    share(&taken[..old]) - share(&taken[old..])
}

/// Progress after some steps, in order; step 0 is left out, where it is 0 for every model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress(pub Vec<(usize, f64)>);

impl Progress {
    /// The steps at which it is measured: powers of two up to `last`, and `last`. Half of what is learned is learned early.
    pub fn grid(last: usize) -> Vec<usize> {
        let mut grid: Vec<usize> = std::iter::successors(Some(1), |s| Some(2 * s)).take_while(|s| *s < last).collect();
        grid.push(last);
        grid
    }

    /// Mean over the grid: the area under the curve over log₂ of the step; NaN if the model diverged.
    pub fn mean(&self) -> f64 {
        stats::mean(&self.0.iter().map(|(_, v)| *v).collect::<Vec<f64>>())
    }

    /// Steps from which on `level` is held, interpolated between grid points (from 0 at step 0), and false; where the last is below it the last step,
    /// and true: it takes this many at least. NaN if the model diverged.
    pub fn steps_to(&self, level: f64) -> (f64, bool) {
        if self.0.iter().any(|(_, v)| v.is_nan()) {
            return (f64::NAN, false);
        }
        let below = self.0.iter().rposition(|(_, v)| *v < level);
        let (step, value) = below.map_or((0.0, 0.0), |i| (self.0[i].0 as f64, self.0[i].1));
        match self.0.get(below.map_or(0, |i| i + 1)) {
            Some((s, v)) => (step + (*s as f64 - step) * (level - value) / (v - value), false),
            None => (step, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ProbeSamples;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn informedness_of_worked_cases() {
        let logits =
            |answers: &[usize]| Logits { values: answers.iter().flat_map(|a| (0..3).map(|k| f32::from(u8::from(k == *a)))).collect(), slots: 3 };
        // Three of four old ones found, one of five others taken for it: 0.75 − 0.2.
        assert!((informedness(&logits(&[2, 2, 2, 0, 0, 1, 2, 1, 0]), 4, Slot(2)) - 0.55).abs() < 1e-12);
        assert_eq!(informedness(&logits(&[2, 2, 2, 2]), 2, Slot(2)), 0.0, "always");
        assert_eq!(informedness(&logits(&[0, 1, 0, 1]), 2, Slot(2)), 0.0, "never");
        assert_eq!(informedness(&logits(&[2, 2, 0, 1]), 2, Slot(2)), 1.0, "perfect");
        assert!(informedness(&Logits { values: vec![0.0, f32::NAN], slots: 1 }, 1, Slot(0)).is_nan());
        assert!(informedness(&logits(&[0, 1]), 2, Slot(2)).is_nan(), "nothing else to compare with");
    }

    #[test]
    fn progress_of_worked_cases() {
        assert_eq!(Progress::grid(1), [1]);
        assert_eq!(Progress::grid(8), [1, 2, 4, 8]);
        assert_eq!(Progress::grid(10), [1, 2, 4, 8, 10]);
        let p = Progress(vec![(1, 0.0), (2, 0.25), (4, 0.75), (8, 0.75)]);
        assert_eq!(p.mean(), 1.75 / 4.0);
        // Half way from 0.25 at step 2 to 0.75 at step 4.
        assert_eq!(p.steps_to(0.5), (3.0, false));
        assert_eq!(p.steps_to(0.8), (8.0, true), "not reached");
        assert_eq!(Progress(vec![(1, 1.0)]).steps_to(0.5), (0.5, false));
        // What falls below again was not reached: from 0.25 at step 4 a third of the way to 1 at step 8.
        assert_eq!(Progress(vec![(1, 0.75), (2, 0.5), (4, 0.25), (8, 1.0)]).steps_to(0.5), (4.0 + 4.0 / 3.0, false));
        let diverged = Progress(vec![(1, 0.6), (2, f64::NAN)]);
        assert!(diverged.steps_to(0.5).0.is_nan() && diverged.mean().is_nan());
    }

    #[test]
    fn few_samples_are_among_many_and_the_others_are_the_same() {
        use crate::data::{ClassMap, Swap, SwapTask, synthetic};
        let set = synthetic::blobs().expect("made on the spot");
        let map = ClassMap::new([0, 1, 2].map(ClassId).to_vec()).expect("three classes");
        let task = SwapTask::new(&set, &map, Swap { forget: ClassId(1), learn: Some(ClassId(4)) }).expect("possible");
        let data = AuditData::new(task, ProbeSamples::default(), 5).expect("open");
        let classes = data.feature_classes(PartName::Train);
        let diets: Vec<Vec<usize>> = [Shots::Few(1), Shots::Few(10), Shots::All].map(|s| diet(&data, s, 8).expect("enough")).to_vec();
        let part = |d: &[usize], old: bool| -> Vec<usize> { d.iter().copied().filter(|i| (classes[*i] == data.old()) == old).collect() };
        let distinct = |d: &[usize]| part(d, true).into_iter().collect::<std::collections::BTreeSet<_>>();
        // 8 steps show 128 old-class images.
        assert_eq!(diets.iter().map(|d| distinct(d).len()).collect::<Vec<_>>(), [1, 10, 60]);
        assert!(distinct(&diets[0]).is_subset(&distinct(&diets[1])));
        for d in &diets {
            assert_eq!((d.len(), part(d, true).len()), (8 * BATCH, 4 * BATCH));
            assert_eq!(part(d, false), part(&diets[0], false));
        }
        assert!(diet(&data, Shots::Few(100), 8).is_none(), "60 images");
        let other = AuditData::new(data.task.clone(), ProbeSamples::default(), 6).expect("open");
        assert_ne!(diet(&other, Shots::Few(10), 8), diet(&data, Shots::Few(10), 8), "another seed");
    }

    proptest! {
        #[test]
        fn a_higher_level_takes_no_fewer_steps(values in proptest::collection::vec(-1.0f64..1.0, 6), a in 0.01f64..1.0, b in 0.01f64..1.0) {
            let p = Progress(Progress::grid(32).into_iter().zip(values).collect());
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(p.steps_to(low) <= p.steps_to(high), "{:?}", (p.steps_to(low), p.steps_to(high)));
            prop_assert!((0.0..=32.0).contains(&p.steps_to(low).0));
        }
    }
}
