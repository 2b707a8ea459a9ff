//! Several swaps made at once: who sees which classes, what methods leave, what is judged, and what is written.

mod common;

use common::{Bench, TINY, blobs, context, map, names_in, trained};
use unlearn::data::{ClassId, Labelled, Samples, Slot, Swap, SwapTask};
use unlearn::method::{self, METHODS};
use unlearn::summary::{ModelKind, Scores};
use unlearn::train;

const TWO: &str = "--classes 0,1,2,3 --forget 2,3 --learn 5,4";

fn swap(forget: u16, learn: Option<u16>) -> Swap {
    Swap { forget: ClassId(forget), learn: learn.map(ClassId) }
}

fn two(learn: bool) -> SwapTask {
    let [a, b] = [(2, 5), (3, 4)].map(|(forget, new)| swap(forget, learn.then_some(new)));
    SwapTask::at_once(&blobs(), &map(&[0, 1, 2, 3]), a, vec![b]).unwrap()
}

fn classes(samples: &Samples) -> Vec<u16> {
    let mut all: Vec<u16> = (0..samples.len()).map(|i| samples.class(i).0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn methods_see_all_old_classes_and_audits_one() {
    let task = two(true);
    assert_eq!(task.after, map(&[0, 1, 5, 4]));
    assert_eq!((task.old_slots(), task.new_slots()), (vec![Slot(2), Slot(3)], vec![Slot(2), Slot(3)]));
    assert_eq!(classes(&task.retain_and_learn().unwrap()), [0, 1, 4, 5]);
    let each = task.each().unwrap();
    let of = |t: &SwapTask| {
        let learn = t.learn.as_ref().unwrap();
        [&t.retain.test, &t.forget.train, &t.forget.test, &learn.train, &learn.test].map(|v| classes(v.samples().unwrap()))
    };
    assert_eq!(of(&task), [vec![0, 1], vec![2, 3], vec![2, 3], vec![4, 5], vec![4, 5]]);
    assert_eq!(each.iter().map(of).collect::<Vec<_>>(), [[[0, 1].as_slice(), &[2], &[2], &[5], &[5]], [&[0, 1], &[3], &[3], &[4], &[4]]]);
    assert!(each.iter().all(|t| t.after == task.after && t.before == task.before && t.also.len() == 1));
    // Nothing learned: both rows go.
    let plain = two(false);
    assert_eq!((&plain.after, plain.learn.is_none()), (&map(&[0, 1]), true));
    // One swap is what it always was.
    let one = SwapTask::new(&blobs(), &map(&[0, 1, 2, 3]), swap(2, Some(5))).unwrap();
    assert_eq!(of(&one.each().unwrap()[0]), of(&one));
}

#[test]
fn every_method_swaps_several_classes() {
    let dataset = blobs();
    for learn in [true, false] {
        let task = two(learn);
        let original = trained("original", "mlp", &dataset, &task.before, 2);
        for m in METHODS {
            let mut ctx = context(m.name, &dataset, 4);
            let made = method::apply(m.name, &(m.defaults)(), original.clone(), &task, &mut ctx).unwrap_or_else(|e| panic!("{}: {e}", m.name));
            assert_eq!(made.spec().slots, task.after.len(), "{}", m.name);
            let accuracy = |samples: &Samples| {
                let data = Labelled::new(samples.clone(), &task.after);
                train::accuracy(&train::predict(&made, &data, &ctx).unwrap(), &data.slots).unwrap()
            };
            if learn && ["retrain", "finetune"].contains(&m.name) {
                let new = task.learn.as_ref().unwrap().test.samples().unwrap();
                for class in [4, 5] {
                    let found = accuracy(&new.of_class(ClassId(class)));
                    assert!(found > 0.5, "{}: {found} of new class {class}", m.name);
                }
            }
            if m.name == "logit-mask" {
                let old = Labelled::new(task.forget.test.samples().unwrap().clone(), &task.before);
                let answers = train::predict(&made, &old, &ctx).unwrap().argmax();
                assert!(answers.iter().all(|s| *s < 2), "neither old slot answers");
            }
        }
    }
}

fn scores(bench: &Bench, folder: &str) -> Scores {
    serde_json::from_slice(&bench.read(&format!("{folder}/scores.json"))).unwrap()
}

#[test]
fn each_swap_has_a_report_of_its_own() {
    let bench = Bench::new();
    let ran = bench.unlearn(&format!("swap {TINY} {TWO} --oracles 3 --methods finetune,logit-mask --out run")).ok();
    assert!(ran.out.contains("run/swap-2-5/report.html") && ran.out.contains("run/swap-3-4/report.html"), "{}", ran.out);
    assert_eq!(names_in(&bench.path("run")), ["config.toml", "events.jsonl", "models", "outputs", "swap-2-5", "swap-3-4"]);
    let both = ["run/swap-2-5", "run/swap-3-4"];
    for (folder, (old, new)) in both.iter().zip([("south-west", "sides"), ("south-east", "centre")]) {
        let found = scores(&bench, folder);
        assert_eq!(found.task.forget_name, old);
        assert_eq!(found.task.learn_name.as_deref(), Some(new));
        assert_eq!((found.task.also.len(), found.task.classes_after.as_slice()), (1, [0, 1, 5, 4].as_slice()));
        let judged: Vec<&str> = found.verdict.iter().filter(|v| v.kind != ModelKind::Oracle).map(|v| v.model.as_str()).collect();
        assert_eq!(judged, ["original", "finetune", "logit-mask", "head-distil", "random-init"]);
        let page = String::from_utf8(bench.read(&format!("{folder}/report.html"))).unwrap();
        assert!(page.contains("at once with"), "the page says what else was swapped");
        assert!(bench.unlearn(&format!("report {folder}")).ok().out.contains("at once with"));
    }
    bench.unlearn("report run").refused(&["several swaps at once", "run/swap-2-5"]);
    let figures = |folder: &str| scores(&bench, folder).scores;
    assert_ne!(figures(both[0]), figures(both[1]));

    // The same from the models again, from their files, and from the configuration of either.
    let before = both.map(figures);
    let json = bench.unlearn("audit run --json --quiet").ok().json();
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!(both.map(figures), before);
    let oracles: String = (1..=3).map(|i| format!("--oracle run/models/oracle-{i}.safetensors ")).collect();
    // The controls are made anew.
    bench
        .unlearn(&format!(
            "audit run/models/finetune.safetensors --original run/models/original.safetensors {oracles} --forget 2,3 --learn 5,4 --out files --quiet"
        ))
        .ok();
    assert_eq!(figures("files/swap-3-4"), before[1]);
    bench.unlearn("swap --config run/swap-3-4/config.toml --threads 1 --quiet --out again").ok();
    assert_eq!(figures("again/swap-2-5"), before[0]);
    std::fs::remove_dir_all(bench.path("run/swap-2-5")).unwrap();
    bench.unlearn("audit run --quiet").refused(&["the run is not finished", "--resume"]);
    assert!(!bench.path("run/swap-2-5").exists(), "a refused audit leaves nothing behind");
    bench.unlearn(&format!("swap {TINY} {TWO} --oracles 3 --methods finetune,logit-mask --out run --resume --quiet")).ok();
    assert_eq!(both.map(figures), before);
}

#[test]
fn what_cannot_be_swapped_at_once_is_explained() {
    let bench = Bench::new();
    for (swaps, says) in [
        ("--forget 2,3 --learn 5", ["1 to learn, 2 to forget", "a new class for each old one"]),
        ("--forget 2,2 --learn 5,4", ["class 2 is not in the model", "--forget"]),
        ("--forget 2,3 --learn 5,5", ["class 5 is already in the model", "--learn"]),
        ("--forget 2,3 --learn 5,2", ["class 2 is already in the model", "--learn"]),
        ("--forget 2,x", ["`x` is no class of blobs", "--forget"]),
    ] {
        bench.unlearn(&format!("swap {TINY} --classes 0,1,2,3 {swaps} --out run")).refused(&says);
    }
    assert!(bench.entries().iter().all(|e| e != "run"));
}
