//! The tasks that show how the original takes classes that it never saw.

use rand::seq::SliceRandom;

use super::super::{AuditData, ProbeSamples};
use crate::data::{ClassId, Dataset, Swap, SwapTask};
use crate::error::Result;
use crate::rng;

/// Classes at most: what each costs is a good part of a model's audit.
pub const MOST: usize = 8;

/// For classes that the original never saw the swap in a mirror: each in the old class's place, and the old class learned for it. The original is what an
/// oracle is to that swap, trained without the one and with the other, so that the audits measure it there as they measure oracles here.
///
/// Read-outs are fitted on `probe` of the training samples. The learn class, then others drawn from the stream `never-seen classes` of `seed`, at most [`MOST`]; only classes with training and test images.
///
/// # Errors
/// A task whose sets are not open.
pub fn mirrored(task: &SwapTask, dataset: &Dataset, probe: ProbeSamples, seed: u64) -> Result<Vec<AuditData>> {
    let has_images = |c: &ClassId| dataset.train.labels.contains(c) && dataset.test.labels.contains(c);
    let unseen = |c: &ClassId| task.before.slot(*c).is_none() && has_images(c);
    let mut others: Vec<ClassId> = (0..dataset.class_names.len() as u16).map(ClassId).filter(|c| unseen(c) && Some(*c) != task.swap.learn).collect();
    others.shuffle(&mut rng::stream(seed, "never-seen classes", 0));
    let old = task.swap.forget;
    let mirror = |class: ClassId| {
        let before = task.before.swapped(Swap { forget: old, learn: Some(class) })?;
        Ok(AuditData::new(SwapTask::new(dataset, &before, Swap { forget: class, learn: Some(old) })?, probe, seed)?.of_read_outs())
    };
    task.swap.learn.into_iter().chain(others).take(MOST).map(mirror).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::PartName;
    use crate::data::{ClassMap, Role, synthetic};

    fn task(set: &Dataset, classes: u16, learn: Option<u16>) -> SwapTask {
        let before = ClassMap::new((0..classes).map(ClassId).collect()).expect("classes");
        SwapTask::new(set, &before, Swap { forget: ClassId(1), learn: learn.map(ClassId) }).expect("a swap")
    }

    #[test]
    fn the_original_is_an_oracle_of_every_mirrored_swap() {
        let set = synthetic::blobs().expect("made on the spot");
        let task = task(&set, 3, Some(4));
        let mirrors = mirrored(&task, &set, ProbeSamples::default(), 0).expect("open");
        assert_eq!(mirrors.len(), set.class_names.len() - 3);
        assert_eq!(mirrors[0].old(), ClassId(4), "the learn class is always among them");
        for m in &mirrors {
            assert_eq!(m.task.after, task.before, "the original's own slots");
            assert!(task.before.slot(m.old()).is_none());
            assert_eq!(m.task.swap.learn, Some(ClassId(1)));
            // As many samples for read-outs as there would be of it as the old class.
            let whole = AuditData::new(m.task.clone(), ProbeSamples::default(), 0).expect("open");
            for part in [PartName::Train, PartName::Test] {
                assert_eq!(m.feature_classes(part), whole.feature_classes(part));
            }
            assert_eq!(m.kept(Role::Forget, PartName::Train).len(), whole.kept(Role::Forget, PartName::Train).len());
        }
    }

    #[test]
    fn which_classes_are_drawn_is_the_seeds_and_none_is_none() {
        let set = synthetic::blobs().expect("made on the spot");
        let order =
            |seed| mirrored(&task(&set, 3, None), &set, ProbeSamples::default(), seed).expect("open").iter().map(AuditData::old).collect::<Vec<_>>();
        assert_eq!(order(1), order(1));
        assert!((2..9).any(|seed| order(seed) != order(1)));
        assert!(order(1).len() <= MOST);
        let all = task(&set, set.class_names.len() as u16, None);
        assert!(mirrored(&all, &set, ProbeSamples::default(), 0).expect("open").is_empty());
    }
}
