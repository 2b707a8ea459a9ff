//! What `auto` comes to, and what a plan spends.

use super::*;

#[test]
fn values_are_given_or_auto() {
    let regrow = |given: &str| {
        let given: toml::Table = given.parse().expect("valid");
        super::super::build::<Regrow>("regrow", &given).err().map(|e| e.to_string())
    };
    for fine in ["keep = 'auto'", "keep = 0.5", "keep = 1", "batch = 0.5", "epochs = 4", "optimiser = 'sgd'"] {
        assert_eq!(regrow(fine), None, "{fine}");
    }
    for (bad, says) in [
        ("keep = 'half'", "neither `auto` nor a value"),
        ("optimiser = 'adamm'", "neither `auto`"),
        ("keep = 1.5", "out of range"),
        ("keep = true", "neither `auto`"),
    ] {
        assert!(regrow(bad).is_some_and(|e| e.contains(says)), "{bad}: {:?}", regrow(bad));
    }
}

#[test]
fn what_auto_comes_to() {
    let digits = crate::data::embedded::mnist_mini().expect("embedded");
    let classes = [0, 1, 2, 4, 5, 6, 7, 8, 9].map(crate::data::ClassId).to_vec();
    let before = crate::data::ClassMap::new(classes).expect("nine classes");
    let swap = crate::data::Swap { forget: crate::data::ClassId(6), learn: Some(crate::data::ClassId(3)) };
    let task = SwapTask::new(&digits, &before, swap).expect("a swap");
    let device = burn::tensor::Device::flex();
    let spec = |arch| Classifier::zeros(arch, digits.shape(), 9, &device).expect("known").spec().clone();
    let of = |given: Regrow, arch, epochs| {
        let Choice { plan, above, keep, .. } = given.choose(&spec(arch), &task, epochs, true).expect("chooses");
        let by = given.steps_by(plan, above, OptimiserKind::Adam);
        (plan.follows, plan.epochs, given.images(plan, 64), given.images(plan, 1), keep, by == OptimiserKind::Muon)
    };
    // The demo; a budget for all data; a deep top.
    assert_eq!(of(Regrow::default(), "cnn-s", 10), (false, 2, 64, 1, 0.0, false));
    assert_eq!(of(Regrow::default(), "cnn-s", 30), (true, 2, 32, 1, 0.0, false));
    assert_eq!(of(Regrow::default(), "resnet20", 10), (true, 2, 32, 1, KEPT, true));
    // What is said wins.
    let said = || Regrow { epochs: 5, batch: OrAuto::Given(0.25), keep: OrAuto::Given(0.1), ..Regrow::default() };
    assert_eq!(of(said(), "resnet20", 10), (true, 5, 16, 1, 0.1, true));
    assert_eq!(of(Regrow { distil: OrAuto::Given(0.0), ..said() }, "resnet20", 10), (false, 5, 16, 1, 0.1, false));
    assert_eq!(of(Regrow { optimiser: OrAuto::Given(OptimiserKind::Sgd), ..said() }, "resnet20", 10), (true, 5, 16, 1, 0.1, false));
    // What a budget pays for: the top as it is by default, the same grown from nothing, a stage more.
    let chosen = |budget, arch| {
        let Choice { cut, grown, plan, distil, keep, .. } =
            Regrow { budget, ..Regrow::default() }.choose(&spec(arch), &task, 10, true).expect("chooses");
        (cut.0, grown, (plan.learn / plan.retain * 1e6).round() / 1e6, distil, keep)
    };
    assert_eq!(chosen(0.045, "cnn-s"), (3, false, 3.0, 0.8, 0.0));
    assert_eq!(chosen(0.1, "cnn-s"), (3, true, 1.0, 0.0, 0.0));
    assert_eq!(chosen(0.2, "cnn-s"), (2, true, 1.0, 0.0, 0.0));
    assert_eq!(chosen(0.9, "cnn-s"), (2, true, 1.0, 0.0, 0.0));
    assert_eq!(chosen(0.045, "resnet20"), (3, false, 3.0, 0.8, KEPT));
    assert_eq!(chosen(0.2, "resnet20"), (2, true, 1.0, 0.0, 0.0));
    // A cut that is named stays.
    let named = Regrow { budget: 0.9, cut: "conv3".into(), learn_boost: OrAuto::Given(2.0), ..Regrow::default() };
    let Choice { cut, grown, plan, .. } = named.choose(&spec("cnn-s"), &task, 10, true).expect("chooses");
    assert!((cut.0, grown) == (3, true) && (plan.learn / plan.retain - 2.0).abs() < 1e-9, "{plan:?}");
    // A rate for SGD is none for Muon.
    let plan = Plan { retain: 1.0, learn: 3.0, epochs: 2, follows: true };
    assert_eq!(Regrow::default().steps_by(plan, 0.9, OptimiserKind::Sgd), OptimiserKind::Sgd);
}

#[test]
fn a_top_starts_between_the_original_and_a_fresh_one() {
    let device = burn::tensor::Device::flex();
    let net = |seed| Classifier::new("cnn-s", [1, 8, 8], 3, seed, &device).expect("small");
    let (original, fresh) = (net(1), net(2));
    let values = |m: &Classifier| m.tensors().into_iter().map(|t| (t.name, t.values)).collect::<Vec<_>>();
    assert_eq!(values(&shrunk(&original, fresh.clone(), 0.0)), values(&fresh));
    for (((name, a), (_, b)), (_, mixed)) in values(&original).iter().zip(&values(&fresh)).zip(&values(&shrunk(&original, fresh.clone(), 0.25))) {
        let share = if name.starts_with("head.") { 0.0 } else { 0.25 };
        assert!(a.iter().zip(b).zip(mixed).all(|((a, b), m)| (share * a + (1.0 - share) * b - m).abs() < 1e-6), "{name}");
    }
}

#[test]
fn a_plan_spends_its_budget_and_no_more() {
    for (passes, above, epochs) in [(0.2, 0.2, 4), (0.9, 0.19, 4), (3.0, 0.1, 4), (0.05, 0.9, 1), (40.0, 0.5, 3)] {
        for (new, boost) in [(0.1, 1.0), (0.05, 3.0), (0.3, 10.0), (0.0, 3.0)] {
            for (fill, most) in [((1.0 - above) / 3.0, 1.0), (1.0 / 3.0, 1.0), ((1.0 - above) / 3.0, f64::INFINITY), (1.0 / 3.0, f64::INFINITY)] {
                let plan = Plan::new(passes, new, (fill, above), epochs, boost, most);
                let data = (1.0 - new) * plan.retain + new * plan.learn; // in sets of all data
                let spent = data * (fill + plan.epochs as f64 * above);
                let at = format!("{plan:?} spends {spent} of {passes}");
                assert!(spent <= passes * (1.0 + 1e-12) && plan.retain <= most && plan.epochs >= epochs, "{at}");
                assert_eq!(plan.learn, boost * plan.retain, "{at}");
                // Nothing is left that another epoch could use.
                assert!(plan.retain < most && spent > passes * (1.0 - 1e-9) || spent > passes - data * above, "{at}");
            }
        }
    }
}
