//! The swap as data: retain, forget and learn sets, each with its train and test part.

use super::{ClassId, ClassMap, Dataset, Needs, Role, Samples, Scarcity, Slot, Swap, View};
use crate::error::{Error, Result};

/// The train and test samples of one set.
#[derive(Debug, Clone)]
pub struct Split {
    /// From the data set's training part.
    pub train: View,
    /// From its test part.
    pub test: View,
}

/// A swap on a data set, or several made at once. The sets are disjoint by construction: no class is in two of them.
///
/// Methods see several swaps together, in one task; audits judge them one by one, each in a task of [`SwapTask::each`].
#[derive(Debug, Clone)]
pub struct SwapTask {
    /// The swap.
    pub swap: Swap,
    /// The others that are made with it.
    pub also: Vec<Swap>,
    /// Classes that stay.
    pub retain: Split,
    /// The old class, or all of them.
    pub forget: Split,
    /// The new class, or all of them, where there is one.
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
        Self::at_once(dataset, before, swap, vec![])
    }

    /// The same for `swap` and, made with it, all of `also`, which learn a class each if it does and none if it does not.
    ///
    /// # Errors
    /// As [`SwapTask::new`]; a class in two of them.
    pub fn at_once(dataset: &Dataset, before: &ClassMap, swap: Swap, also: Vec<Swap>) -> Result<Self> {
        let all: Vec<Swap> = std::iter::once(swap).chain(also.iter().copied()).collect();
        // Each by itself, too: one's old class is not another's new one.
        all.iter().try_for_each(|s| before.swapped(*s).map(|_| ()))?;
        let after = all.iter().try_fold(before.clone(), |map, s| map.swapped(*s))?;
        let old: Vec<ClassId> = all.iter().map(|s| s.forget).collect();
        let new: Vec<ClassId> = all.iter().filter_map(|s| s.learn).collect();
        let retained: Vec<ClassId> = before.classes().iter().copied().filter(|c| !old.contains(c)).collect();
        let split = |role: Role, classes: &[ClassId]| -> Result<Split> {
            for class in classes {
                for (part, name) in [(&dataset.train, "training"), (&dataset.test, "test")] {
                    if !part.labels.contains(class) {
                        return Err(Error::input(
                            &dataset.name,
                            format!("class {} ({}) has no {name} images", class.0, dataset.class_name(*class)),
                            "leave it out of --classes, or choose one that has",
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
            also,
            retain: split(Role::Retain, &retained)?,
            forget: split(Role::Forget, &old)?,
            learn: (!new.is_empty()).then(|| split(Role::Learn, &new)).transpose()?,
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

    /// Every swap of this task: the first, then those made with it.
    pub fn swaps(&self) -> impl Iterator<Item = Swap> + '_ {
        std::iter::once(self.swap).chain(self.also.iter().copied())
    }

    /// Whether `class` is to be forgotten.
    pub fn is_old(&self, class: ClassId) -> bool {
        self.swaps().any(|s| s.forget == class)
    }

    /// Whether `class` is to be learned.
    pub fn is_new(&self, class: ClassId) -> bool {
        self.swaps().any(|s| s.learn == Some(class))
    }

    /// The old classes' slots in the original.
    pub fn old_slots(&self) -> Vec<Slot> {
        self.swaps().filter_map(|s| self.before.slot(s.forget)).collect()
    }

    /// The new classes' slots in the swapped model.
    pub fn new_slots(&self) -> Vec<Slot> {
        self.swaps().filter_map(|s| self.after.slot(s.learn?)).collect()
    }

    /// One task a swap, for audits: its old and its new class alone in the forget and the learn set, the other swaps' in none. The model is the
    /// same, and so are the classes before and after.
    ///
    /// # Errors
    /// A task whose sets are locked.
    pub fn each(&self) -> Result<Vec<Self>> {
        let of = |split: &Split, role, class| -> Result<Split> {
            let view = |view: &View| Ok(View::new(role, view.samples()?.of_class(class)));
            Ok(Split { train: view(&split.train)?, test: view(&split.test)? })
        };
        let one = |swap: Swap| {
            let learn = self.learn.as_ref().zip(swap.learn);
            Ok(Self {
                swap,
                also: self.swaps().filter(|s| *s != swap).collect(),
                forget: of(&self.forget, Role::Forget, swap.forget)?,
                learn: learn.map(|(split, class)| of(split, Role::Learn, class)).transpose()?,
                ..self.clone()
            })
        };
        self.swaps().map(one).collect()
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
