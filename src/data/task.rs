//! The swap as data: retain, forget and learn sets, each with its train and test part.

use super::{ClassId, ClassMap, Dataset, Needs, Role, Samples, Scarcity, Swap, View};
use crate::error::{Error, Result};

/// The train and test samples of one set.
#[derive(Debug, Clone)]
pub struct Split {
    /// From the data set's training part.
    pub train: View,
    /// From its test part.
    pub test: View,
}

/// A swap on a data set. The sets are disjoint by construction: no class is in two of them.
#[derive(Debug, Clone)]
pub struct SwapTask {
    /// The swap.
    pub swap: Swap,
    /// Classes that stay.
    pub retain: Split,
    /// The old class.
    pub forget: Split,
    /// The new class, where there is one.
    pub learn: Option<Split>,
    /// The original model's classes.
    pub before: ClassMap,
    /// The swapped model's classes.
    pub after: ClassMap,
    /// How much less data there is than the data set has.
    pub scarcity: Scarcity,
    /// The retain set's training samples that methods have, where they have fewer than the others.
    pub(super) scarce_retain: Option<View>,
}

impl SwapTask {
    /// Splits `dataset` for `swap` of a model with classes `before`.
    ///
    /// # Errors
    /// An impossible swap (see [`ClassMap::swapped`]) or a class without samples.
    pub fn new(dataset: &Dataset, before: &ClassMap, swap: Swap) -> Result<Self> {
        let after = before.swapped(swap)?;
        let retained: Vec<ClassId> = before.classes().iter().copied().filter(|c| *c != swap.forget).collect();
        let split = |role: Role, classes: &[ClassId]| -> Result<Split> {
            for class in classes {
                for (part, name) in [(&dataset.train, "training"), (&dataset.test, "test")] {
                    if !part.labels.contains(class) {
                        return Err(Error::input(
                            &dataset.name,
                            format!("class {} ({}) has no {name} images", class.0, dataset.class_name(*class)),
                            "choose a class that the set has",
                        ));
                    }
                }
            }
            Ok(Split {
                train: View::new(role, Samples::of_classes(&dataset.train, classes)),
                test: View::new(role, Samples::of_classes(&dataset.test, classes)),
            })
        };
        let task = Self {
            swap,
            retain: split(Role::Retain, &retained)?,
            forget: split(Role::Forget, &[swap.forget])?,
            learn: swap.learn.map(|c| split(Role::Learn, &[c])).transpose()?,
            before: before.clone(),
            after,
            scarcity: Scarcity::default(),
            scarce_retain: None,
        };
        task.assert_disjoint();
        Ok(task)
    }

    fn assert_disjoint(&self) {
        for pick in [|s: &Split| s.train.clone(), |s: &Split| s.test.clone()] {
            let mut seen = std::collections::HashSet::new();
            for split in [Some(&self.retain), Some(&self.forget), self.learn.as_ref()].into_iter().flatten() {
                let view = pick(split);
                let samples = view.samples().expect("a new task is open");
                assert!(samples.indices.iter().all(|i| seen.insert(*i)), "a sample is in two of retain, forget and learn");
            }
        }
    }

    /// The task as a method with `needs` may see it: the training samples that it names, and no test sample of any set, so that nothing can be
    /// chosen by them. Where data is scarce, no more of the retain set than methods have.
    pub fn for_method(&self, who: &str, needs: Needs) -> Self {
        let lock = |s: &Split| Split { train: s.train.for_method(who, needs), test: s.test.locked(who) };
        let retain = Split { train: self.scarce_retain.as_ref().unwrap_or(&self.retain.train).clone(), test: self.retain.test.clone() };
        Self { retain: lock(&retain), forget: lock(&self.forget), learn: self.learn.as_ref().map(lock), ..self.clone() }
    }

    /// The classes that the head stands for while a method works: those after the swap; for plain unlearning still those before it,
    /// since the old row is only taken out of the finished model.
    pub fn working(&self) -> &ClassMap {
        if self.learn.is_some() { &self.after } else { &self.before }
    }

    /// Training samples of retain ∪ learn: what a retrained model trains on.
    pub fn retain_and_learn(&self) -> Result<Samples> {
        let retain = self.retain.train.samples()?;
        match &self.learn {
            Some(learn) => Ok(retain.union([learn.train.samples()?])),
            None => Ok(retain.clone()),
        }
    }
}
