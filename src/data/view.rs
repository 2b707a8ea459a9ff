//! Views: samples of one part, and the lock that keeps a method away from data it does not declare.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use super::{ClassId, Part};
use crate::error::{Error, Result};
use crate::rng;

/// Which of the swap's three sets a view belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Classes kept.
    Retain,
    /// The old class.
    Forget,
    /// The new class.
    Learn,
}

impl Role {
    /// `retain`, `forget` or `learn`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retain => "retain",
            Self::Forget => "forget",
            Self::Learn => "learn",
        }
    }
}

/// Which of the three sets a method may open; part of its registry entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// May it see the retain set?
    pub retain: bool,
    /// May it see the forget set?
    pub forget: bool,
    /// May it see the learn set?
    pub learn: bool,
}

impl Needs {
    /// All three sets: what audits have.
    pub const ALL: Self = Self { retain: true, forget: true, learn: true };

    /// May `role` be opened?
    pub fn allows(self, role: Role) -> bool {
        match role {
            Role::Retain => self.retain,
            Role::Forget => self.forget,
            Role::Learn => self.learn,
        }
    }
}

/// Samples of one part, by index.
#[derive(Debug, Clone)]
pub struct Samples {
    part: Arc<Part>,
    pub(crate) indices: Arc<[u32]>,
}

impl Samples {
    /// All samples of `part` whose class is in `classes`, in file order.
    pub fn of_classes(part: &Arc<Part>, classes: &[ClassId]) -> Self {
        let indices = (0..part.len() as u32).filter(|i| classes.contains(&part.labels[*i as usize])).collect();
        Self { part: part.clone(), indices }
    }

    /// The samples of `part` with these numbers, in this order.
    ///
    /// # Panics
    /// A number that the part has no sample for.
    pub fn of_numbers(part: &Arc<Part>, numbers: impl IntoIterator<Item = usize>) -> Self {
        let checked = |i: usize| {
            assert!(i < part.len(), "sample {i} of {}", part.len());
            i as u32
        };
        Self { indices: numbers.into_iter().map(checked).collect(), part: part.clone() }
    }

    /// These without those that are in `others`, too; in their order.
    ///
    /// # Panics
    /// Samples of another part.
    pub fn without(&self, others: &Self) -> Self {
        assert!(Arc::ptr_eq(&self.part, &others.part), "samples of two parts");
        let gone: HashSet<u32> = others.indices.iter().copied().collect();
        Self { indices: self.indices.iter().copied().filter(|i| !gone.contains(i)).collect(), part: self.part.clone() }
    }

    /// Their numbers in the part, from 0, in order.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.indices.iter().map(|i| *i as usize)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Class of sample `i` of this selection.
    pub fn class(&self, i: usize) -> ClassId {
        self.part.labels[self.indices[i] as usize]
    }

    /// Bytes of sample `i` of this selection, CHW.
    pub fn image(&self, i: usize) -> &[u8] {
        self.part.image(self.indices[i] as usize)
    }

    /// The part that they are of.
    pub(super) fn part(&self) -> &Part {
        &self.part
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.part.shape
    }

    /// At most `count` samples, evenly spread over this selection's order: deterministic, no draw.
    pub fn spread(&self, count: usize) -> Self {
        let n = self.len();
        if n <= count {
            return self.clone();
        }
        Self { part: self.part.clone(), indices: (0..count).map(|i| self.indices[i * n / count]).collect() }
    }

    /// The samples at `places` of this selection, in that order; a place may come more than once.
    pub fn pick(&self, places: impl IntoIterator<Item = usize>) -> Self {
        Self { part: self.part.clone(), indices: places.into_iter().map(|i| self.indices[i]).collect() }
    }

    /// Those of one class, in this selection's order.
    pub fn of_class(&self, class: ClassId) -> Self {
        self.pick((0..self.len()).filter(|i| self.class(*i) == class))
    }

    /// This selection and behind it `other`, which must be of the same part; unlike in [`Samples::union`] the order stays.
    pub fn followed_by(&self, other: &Self) -> Self {
        assert!(Arc::ptr_eq(&self.part, &other.part), "a selection is of one part");
        Self { part: self.part.clone(), indices: self.indices.iter().chain(other.indices.iter()).copied().collect() }
    }

    /// This selection in two, disjoint and each in file order: the samples to train on, and `share` of all of them (at least one) held out.
    /// Which are held out is drawn from the stream `validation` of `seed`, whatever their class.
    ///
    /// # Errors
    /// Fewer than two samples, or so few that none would be left to train on.
    pub fn hold_out(&self, share: f64, seed: u64) -> Result<(Self, Self)> {
        let held = ((share * self.len() as f64).round() as usize).max(1);
        if held >= self.len() {
            let what = format!("{share} of {} training images leaves none to train on", self.len());
            return Err(Error::input("validation", what, "use a smaller share or more images"));
        }
        let drawn = rand::seq::index::sample(&mut rng::stream(seed, "validation", 0), self.len(), held);
        let mut is_held = vec![false; self.len()];
        drawn.into_iter().for_each(|i| is_held[i] = true);
        let part = |held: bool| {
            let indices = self.indices.iter().zip(&is_held).filter(|(_, h)| **h == held).map(|(i, _)| *i).collect();
            Self { part: self.part.clone(), indices }
        };
        Ok((part(false), part(true)))
    }

    /// Number of samples of the class that has fewest; none where there is no sample.
    pub fn fewest_of_a_class(&self) -> Option<usize> {
        let mut counts = std::collections::BTreeMap::<ClassId, usize>::new();
        (0..self.len()).for_each(|i| *counts.entry(self.class(i)).or_default() += 1);
        counts.into_values().min()
    }

    /// Of every class a `share` (rounded, at least one sample), drawn from the stream `share` of `seed`; in file order.
    pub fn share_of_each_class(&self, share: f64, seed: u64) -> Self {
        let mut by_class = std::collections::BTreeMap::<ClassId, Vec<u32>>::new();
        for (i, at) in self.indices.iter().enumerate() {
            by_class.entry(self.class(i)).or_default().push(*at);
        }
        let mut indices = Vec::new();
        for (class, all) in by_class {
            let count = ((share * all.len() as f64).round() as usize).clamp(1, all.len());
            let drawn = rand::seq::index::sample(&mut rng::stream(seed, "share", u64::from(class.0)), all.len(), count);
            indices.extend(drawn.into_iter().map(|i| all[i]));
        }
        indices.sort_unstable();
        Self { part: self.part.clone(), indices: indices.into() }
    }

    /// This selection and `others`, which must be of the same part, in file order.
    pub fn union<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut indices = self.indices.to_vec();
        for other in others {
            assert!(Arc::ptr_eq(&self.part, &other.part), "a union is taken within one part");
            indices.extend_from_slice(&other.indices);
        }
        indices.sort_unstable();
        indices.dedup();
        Self { part: self.part.clone(), indices: indices.into() }
    }
}

/// Samples of one set that can be opened unless a method's [`Needs`] locked them.
#[derive(Debug, Clone)]
pub struct View {
    role: Role,
    samples: Samples,
    locked_for: Option<String>,
}

impl View {
    /// An open view.
    pub fn new(role: Role, samples: Samples) -> Self {
        Self { role, samples, locked_for: None }
    }

    /// The samples.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the method at work does not name this set in its `needs`.
    pub fn samples(&self) -> Result<&Samples> {
        match &self.locked_for {
            Some(who) => Err(Error::Forbidden { role: self.role.name(), who: who.clone() }),
            None => Ok(&self.samples),
        }
    }

    /// This view as `who`, with `needs`, may see it. A lock once set stays.
    pub fn for_method(&self, who: &str, needs: Needs) -> Self {
        if needs.allows(self.role) { self.clone() } else { self.locked(who) }
    }

    /// This view, closed to `who`. A lock once set stays.
    pub fn locked(&self, who: &str) -> Self {
        Self { locked_for: self.locked_for.clone().or_else(|| Some(who.to_string())), ..self.clone() }
    }
}
