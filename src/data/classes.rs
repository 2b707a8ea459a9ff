//! Classes, the slots of the head that stand for them, and class lists as users write them.

use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::error::{Error, Result, did_you_mean};

/// A label of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClassId(pub u16);

/// A row of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub usize);

/// Which class each row of the head stands for: slot i is class `slots[i]`. Made once, changed only by [`ClassMap::swapped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassMap {
    slots: Vec<ClassId>,
}

/// Forget one class and, where `learn` is given, learn another in its slot. `learn: None` is plain class unlearning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The old class.
    pub forget: ClassId,
    /// The new class.
    pub learn: Option<ClassId>,
}

impl ClassMap {
    /// A map of at least two classes, each once.
    pub fn new(slots: Vec<ClassId>) -> Result<Self> {
        if slots.len() < 2 {
            return Err(Error::input("--classes", format!("{} class(es): a classifier needs at least two", slots.len()), "name more classes"));
        }
        let mut sorted = slots.clone();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::input("--classes", format!("class {} appears twice", twice[0].0), "name each class once"));
        }
        Ok(Self { slots })
    }

    /// Classes in slot order.
    pub fn classes(&self) -> &[ClassId] {
        &self.slots
    }

    /// Number of slots.
    #[expect(clippy::len_without_is_empty, reason = "a map is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot that stands for `class`.
    pub fn slot(&self, class: ClassId) -> Option<Slot> {
        self.slots.iter().position(|c| *c == class).map(Slot)
    }

    /// The map after `swap`: the new class in the old one's slot, or the old slot removed where nothing is learned.
    ///
    /// # Errors
    /// forget = learn, a forget class that the model does not have, a learn class that it already has.
    pub fn swapped(&self, swap: Swap) -> Result<Self> {
        let have = || format!("the model's classes are {}", self.slots.iter().map(|c| c.0.to_string()).collect::<Vec<_>>().join(","));
        if swap.learn == Some(swap.forget) {
            return Err(Error::input("--learn", format!("class {} is also the class to forget", swap.forget.0), "choose two different classes"));
        }
        let Some(Slot(at)) = self.slot(swap.forget) else {
            return Err(Error::input("--forget", format!("class {} is not in the model", swap.forget.0), have()));
        };
        let mut slots = self.slots.clone();
        match swap.learn {
            Some(new) if self.slot(new).is_some() => {
                return Err(Error::input("--learn", format!("class {} is already in the model", new.0), have()));
            }
            Some(new) => slots[at] = new,
            None => {
                slots.remove(at);
            }
        }
        Self::new(slots)
    }
}

impl Swap {
    /// `6-3`, or `6-none` where nothing is learned: labels, for names of files and folders.
    pub fn label(self) -> String {
        format!("{}-{}", self.forget.0, self.learn.map_or("none".to_string(), |c| c.0.to_string()))
    }

    /// The swap that takes this one back; none for plain unlearning.
    pub fn undone(self) -> Option<Self> {
        self.learn.map(|learn| Self { forget: learn, learn: Some(self.forget) })
    }
}

/// `classes` as [`parse_class`] reads them whatever they are called: `#4,#0,#1`.
pub fn by_label(classes: &[ClassId]) -> String {
    classes.iter().map(|c| format!("#{}", c.0)).collect::<Vec<_>>().join(",")
}

/// One class as a user writes it: a class name of the set (`A`, `airplane`, `7`) or, failing that, a label number; `#7` is always label 7.
///
/// Names win over numbers: in EMNIST the text `7` is the digit (label 7 too), in CIFAR-10 `7` is label 7.
pub fn parse_class(text: &str, dataset: &Dataset, flag: &str) -> Result<ClassId> {
    let text = text.trim();
    let label = text.strip_prefix('#').filter(|label| label.parse::<usize>().is_ok());
    if label.is_none()
        && let Some(i) = dataset.class_names.iter().position(|n| n == text)
    {
        return Ok(ClassId(i as u16));
    }
    match label.unwrap_or(text).parse::<usize>() {
        Ok(i) if i < dataset.class_names.len() => Ok(ClassId(i as u16)),
        Ok(i) => Err(Error::input(
            flag,
            format!("class {i}: {} has {} classes", dataset.name, dataset.class_names.len()),
            format!("choose 0 to {}", dataset.class_names.len() - 1),
        )),
        Err(_) => Err(Error::input(
            flag,
            format!("`{text}` is no class of {}", dataset.name),
            did_you_mean(text, dataset.class_names.iter().map(String::as_str)),
        )),
    }
}

/// Classes as a user writes them, with commas between them.
///
/// # Errors
/// One that is none of `dataset`'s; `flag` says where it stands.
pub fn parse_list(text: &str, dataset: &Dataset, flag: &str) -> Result<Vec<ClassId>> {
    text.split(',').map(|t| parse_class(t, dataset, flag)).collect()
}

/// The swaps that a user wants made at once: of each class in the list `forget` for the one at the same place of `learn`, or for none.
///
/// # Errors
/// A class that is none of `dataset`'s; lists of different lengths.
pub fn parse_swaps(forget: &str, learn: Option<&str>, dataset: &Dataset) -> Result<Vec<Swap>> {
    let forget = parse_list(forget, dataset, "--forget")?;
    let Some(learn) = learn.map(|l| parse_list(l, dataset, "--learn")).transpose()? else {
        return Ok(forget.into_iter().map(|forget| Swap { forget, learn: None }).collect());
    };
    if learn.len() != forget.len() {
        let what = format!("{} to learn, {} to forget", learn.len(), forget.len());
        return Err(Error::input("--learn", what, "name a new class for each old one, in the same order, or none at all"));
    }
    Ok(forget.into_iter().zip(learn).map(|(forget, learn)| Swap { forget, learn: Some(learn) }).collect())
}

/// A class list as a user writes it: `0,1,2`, `A,b,airplane`, `all` that have images, or `random:20` of these (drawn without replacement, in
/// drawn order, from the stream `classes` of `seed`, as the founding notebooks do).
pub fn parse_classes(text: &str, dataset: &Dataset, seed: u64) -> Result<ClassMap> {
    if text == "all" {
        return ClassMap::new(dataset.usable_classes());
    }
    if let Some(count) = text.strip_prefix("random:") {
        let all = dataset.usable_classes();
        let count: usize = count.parse().ok().filter(|c| (2..=all.len()).contains(c)).ok_or_else(|| {
            let what = format!("`{text}`: {} has {} classes with images", dataset.name, all.len());
            Error::input("--classes", what, format!("write random:N with N from 2 to {}", all.len()))
        })?;
        let mut rng = crate::rng::stream(seed, "classes", 0);
        let drawn = rand::seq::index::sample(&mut rng, all.len(), count);
        return ClassMap::new(drawn.into_iter().map(|i| all[i]).collect());
    }
    ClassMap::new(parse_list(text, dataset, "--classes")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic;

    #[test]
    fn names_win_over_numbers_and_a_label_can_be_meant_all_the_same() {
        let mut set = synthetic::blobs().expect("made on the spot");
        set.class_names = ["1", "0", "two", "three", "four", "five"].map(String::from).to_vec();
        let class = |text: &str| parse_class(text, &set, "--forget");
        assert_eq!(["0", "1", "5", "two", "#0", "#1"].map(|text| class(text).expect("a class")), [1, 0, 5, 2, 0, 1].map(ClassId));
        let all: Vec<ClassId> = (0..6).map(ClassId).collect();
        let read = parse_classes(&by_label(&all), &set, 0).expect("classes");
        assert_eq!(read.classes(), all, "what the program writes it reads, whatever classes are called");
        for (text, says) in [("6", "6 classes"), ("#6", "choose 0 to 5"), ("#two", "no class of blobs")] {
            assert!(class(text).expect_err("refused").to_string().contains(says), "{text}");
        }
    }
}
