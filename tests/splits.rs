//! The algebra of splits, over random class maps and swaps: retain, forget and learn are disjoint and cover exactly the classes of the
//! model before and after; a swap undone is no swap; every slot keeps its class but one.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use unlearn::data::augment::Augmentation;
use unlearn::data::{ClassId, ClassMap, Dataset, Normalisation, Part, Samples, Slot, Swap, SwapTask, View};

/// Images of 1×1 pixel, each with its place in the part as its value, so that a sample can be told from every other.
fn part(labels: &[u16], classes: usize) -> Arc<Part> {
    let pixels = (0..labels.len()).map(|i| u8::try_from(i).expect("at most 256 samples")).collect();
    Arc::new(Part::new("made up", [1, 1, 1], pixels, labels.iter().map(|l| ClassId(*l)).collect(), classes).unwrap())
}

/// A set in which every class has a sample in both parts.
fn dataset(classes: usize, train: &[u16], test: &[u16]) -> Dataset {
    let every: Vec<u16> = (0..classes as u16).collect();
    Dataset {
        name: "made-up".into(),
        class_names: every.iter().map(|c| format!("class {c}")).collect(),
        train: part(&[&every, train].concat(), classes),
        test: part(&[test, &every].concat(), classes),
        augmentation: Augmentation::none(),
        normalisation: Normalisation::none(),
    }
}

/// A set, a class map on it and a swap that is possible.
fn possible() -> impl Strategy<Value = (Dataset, ClassMap, Swap)> {
    (3usize..12)
        .prop_flat_map(|classes| {
            let labels = || prop::collection::vec(0..classes as u16, 0..60);
            let order = Just((0..classes as u16).collect::<Vec<_>>()).prop_shuffle();
            (Just(classes), labels(), labels(), order, 3..=classes, any::<prop::sample::Index>(), any::<bool>())
        })
        .prop_map(|(classes, train, test, order, used, forget, learn)| {
            // The first `used` classes in random order; all but the last one of them are the model's where that one is learned.
            let learn = learn.then(|| ClassId(order[used - 1]));
            let slots: Vec<ClassId> = order[..used - usize::from(learn.is_some())].iter().map(|c| ClassId(*c)).collect();
            let swap = Swap { forget: *forget.get(&slots), learn };
            (dataset(classes, &train, &test), ClassMap::new(slots).unwrap(), swap)
        })
}

fn classes_of(samples: &Samples) -> BTreeSet<ClassId> {
    (0..samples.len()).map(|i| samples.class(i)).collect()
}

/// Places of a view's samples in their part.
fn places(view: &View) -> BTreeSet<u8> {
    let samples = view.samples().unwrap();
    let places: BTreeSet<u8> = (0..samples.len()).map(|i| samples.image(i)[0]).collect();
    assert_eq!(places.len(), samples.len(), "no sample is in a set twice");
    places
}

proptest! {
    #[test]
    fn sets_are_disjoint_and_cover_before_and_learn((dataset, before, swap) in possible()) {
        let task = SwapTask::new(&dataset, &before, swap).unwrap();
        let wanted: BTreeSet<ClassId> = before.classes().iter().copied().chain(swap.learn).collect();
        for (part, train) in [(&dataset.train, true), (&dataset.test, false)] {
            let views: Vec<&View> = [Some(&task.retain), Some(&task.forget), task.learn.as_ref()]
                .into_iter()
                .flatten()
                .map(|s| if train { &s.train } else { &s.test })
                .collect();
            let sets: Vec<BTreeSet<u8>> = views.iter().map(|v| places(v)).collect();
            let union: BTreeSet<u8> = sets.iter().flatten().copied().collect();
            prop_assert_eq!(union.len(), sets.iter().map(BTreeSet::len).sum::<usize>(), "disjoint");
            let expected: BTreeSet<u8> = (0..part.len()).filter(|i| wanted.contains(&part.labels[*i])).map(|i| i as u8).collect();
            prop_assert_eq!(union, expected, "exactly the classes of before ∪ learn");

            // Each set holds its own classes, and all of them.
            let retained: BTreeSet<ClassId> = before.classes().iter().copied().filter(|c| *c != swap.forget).collect();
            prop_assert_eq!(classes_of(views[0].samples().unwrap()), retained);
            prop_assert_eq!(classes_of(views[1].samples().unwrap()), BTreeSet::from([swap.forget]));
            if let Some(learn) = swap.learn {
                prop_assert_eq!(classes_of(views[2].samples().unwrap()), BTreeSet::from([learn]));
            }
        }
        // What a retrained model learns from: everything that has a slot after the swap, and nothing else.
        let seen = classes_of(&task.retain_and_learn().unwrap());
        prop_assert!(!seen.contains(&swap.forget));
        prop_assert_eq!(seen, task.after.classes().iter().copied().collect());
    }

    #[test]
    fn a_swap_undone_is_the_identity((_, before, swap) in possible()) {
        match swap.undone() {
            Some(undone) => {
                prop_assert_eq!(undone.undone(), Some(swap));
                prop_assert_eq!(before.swapped(swap).unwrap().swapped(undone).unwrap(), before);
            }
            None => prop_assert_eq!(swap.learn, None),
        }
    }

    #[test]
    fn no_other_slot_moves((_, before, swap) in possible()) {
        let after = before.swapped(swap).unwrap();
        let Slot(at) = before.slot(swap.forget).unwrap();
        prop_assert_eq!(after.slot(swap.forget), None);
        match swap.learn {
            Some(learn) => {
                prop_assert_eq!(after.len(), before.len());
                prop_assert_eq!(after.slot(learn), Some(Slot(at)), "the new class takes the old one's place");
                for class in before.classes().iter().filter(|c| **c != swap.forget) {
                    prop_assert_eq!(after.slot(*class), before.slot(*class));
                }
            }
            None => {
                let rest: Vec<ClassId> = before.classes().iter().copied().filter(|c| *c != swap.forget).collect();
                prop_assert_eq!(after.classes(), &rest[..], "the others close up in their order");
            }
        }
    }

    #[test]
    fn impossible_swaps_are_refused((dataset, before, swap) in possible(), pick in any::<prop::sample::Index>()) {
        let refusal = |swap: Swap| {
            let message = before.swapped(swap).unwrap_err().to_string();
            assert_eq!(SwapTask::new(&dataset, &before, swap).unwrap_err().to_string(), message, "the task refuses as the map does");
            message
        };
        let inside = *pick.get(before.classes());
        let outside = swap.learn.unwrap_or(ClassId(99));
        let message = refusal(Swap { forget: inside, learn: Some(inside) });
        prop_assert!(message.contains("also the class to forget"), "{}", message);
        let message = refusal(Swap { forget: outside, learn: None });
        prop_assert!(message.contains(&format!("class {} is not in the model", outside.0)), "{}", message);
        if inside != swap.forget {
            let message = refusal(Swap { forget: swap.forget, learn: Some(inside) });
            prop_assert!(message.contains(&format!("class {} is already in the model", inside.0)), "{}", message);
        }
    }

    #[test]
    fn maps_hold_each_class_once(classes in prop::collection::vec(0u16..6, 0..8)) {
        let distinct: BTreeSet<u16> = classes.iter().copied().collect();
        let map = ClassMap::new(classes.iter().map(|c| ClassId(*c)).collect());
        prop_assert_eq!(map.is_ok(), classes.len() >= 2 && distinct.len() == classes.len());
        if let Ok(map) = map {
            for (i, class) in classes.iter().enumerate() {
                prop_assert_eq!(map.slot(ClassId(*class)), Some(Slot(i)));
            }
        }
    }

    #[test]
    fn what_is_held_out_is_the_rest_of_what_is_trained_on((dataset, before, _) in possible(), share in 0.0f64..=0.9, seed in any::<u64>()) {
        let all = Samples::of_classes(&dataset.train, before.classes());
        let values = |s: &Samples| (0..s.len()).map(|i| s.image(i)[0]).collect::<Vec<u8>>();
        let expected = ((share * all.len() as f64).round() as usize).max(1);
        let Ok((rest, held_out)) = all.hold_out(share, seed) else {
            prop_assert!(expected >= all.len(), "refused with {} left", all.len() - expected);
            return Ok(());
        };
        prop_assert_eq!(held_out.len(), expected);
        // The images' values are their places, so a merge in order is the whole.
        let (a, b) = (values(&rest), values(&held_out));
        prop_assert!(a.is_sorted() && b.is_sorted());
        let mut both = [a, b.clone()].concat();
        both.sort_unstable();
        prop_assert_eq!(both, values(&all), "disjoint, and nothing is lost");
        let (_, again) = all.hold_out(share, seed).unwrap();
        prop_assert_eq!(values(&again), b, "the seed alone decides");
    }

    #[test]
    fn without_some_the_others_are_left((dataset, before, _) in possible(), every in 1usize..9) {
        let all = Samples::of_classes(&dataset.train, before.classes());
        let some = all.pick((0..all.len()).step_by(every));
        let kept: Vec<usize> = all.without(&some).numbers().collect();
        let expected: Vec<usize> = all.numbers().enumerate().filter(|(i, _)| i % every != 0).map(|(_, n)| n).collect();
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn a_spread_is_a_part_in_order((dataset, before, _) in possible(), count in 1usize..80) {
        let all = Samples::of_classes(&dataset.train, before.classes());
        let some = all.spread(count);
        prop_assert_eq!(some.len(), count.min(all.len()));
        let values: Vec<u8> = (0..some.len()).map(|i| some.image(i)[0]).collect();
        prop_assert!(values.windows(2).all(|w| w[0] < w[1]), "in order, none twice");
        let of_all: BTreeSet<u8> = (0..all.len()).map(|i| all.image(i)[0]).collect();
        prop_assert!(values.iter().all(|v| of_all.contains(v)));
    }
}

#[test]
fn plain_unlearning_of_one_of_two_classes_leaves_no_classifier() {
    let map = ClassMap::new(vec![ClassId(0), ClassId(1)]).unwrap();
    let error = map.swapped(Swap { forget: ClassId(1), learn: None }).unwrap_err();
    assert!(error.to_string().contains("at least two"), "{error}");
}

#[test]
fn a_class_without_images_is_refused_by_name() {
    let mut set = dataset(4, &[], &[]);
    set.test = part(&[0, 1, 2], 4);
    let map = ClassMap::new(vec![ClassId(0), ClassId(1)]).unwrap();
    let swap = |learn| Swap { forget: ClassId(1), learn: Some(ClassId(learn)) };
    assert!(SwapTask::new(&set, &map, swap(2)).is_ok());
    let error = SwapTask::new(&set, &map, swap(3)).unwrap_err().to_string();
    assert!(error.contains("class 3 (class 3) has no test images") && error.contains("made-up"), "{error}");
}

#[test]
fn other_seeds_hold_out_other_samples_and_one_sample_cannot_be_split() {
    let all = Samples::of_classes(&part(&[0; 200], 1), &[ClassId(0)]);
    let held = |seed| {
        let (_, held_out) = all.hold_out(0.5, seed).unwrap();
        (0..held_out.len()).map(|i| held_out.image(i)[0]).collect::<Vec<u8>>()
    };
    assert_ne!(held(1), held(2));
    let one = Samples::of_classes(&part(&[0], 1), &[ClassId(0)]);
    assert!(one.hold_out(0.1, 1).unwrap_err().to_string().contains("none to train on"));
}
