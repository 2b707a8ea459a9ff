//! Unlearning methods: one file each, listed in [`METHODS`].
//!
//! To add one: a file with a parameter struct, its `impl Method` and an `ENTRY`; one `mod` line and one line in [`METHODS`] here.
//! Help, `unlearn list methods`, the report's legend and the test sweep over every method and audit read the slice.

mod finetune;
mod gradient_ascent;
mod head_distil;
mod logit_mask;
mod masked_weights;
mod random_layers;
mod regrow;
mod retrain;
mod sharpen;
mod short_retrain;

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use crate::context::{Context, Recipe};
use crate::data::{Needs, SwapTask};
use crate::error::{Error, Result, did_you_mean};
use crate::model::Classifier;
use crate::summary::ModelKind;

/// A procedure that turns the original model into one without the old class.
pub trait Method: Debug + Send + Sync {
    /// The swapped model, made from `original` by value, so that nothing can touch the caller's copy.
    ///
    /// The result has the head of [`SwapTask::working`]. What the method spends beside training steps it counts in `ctx.cost`.
    fn apply(&self, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier>;

    /// Refuses parameters that can't work; called before any work.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Refuses parameters that can't work on a model like `model`, whose weights mean nothing; called before any work.
    fn check_for(&self, _model: &Classifier) -> Result<()> {
        Ok(())
    }

    /// Why this is a swap that the method was measured to fail at, each a sentence with the remedy; said before any work. `task` is locked as
    /// for [`Method::apply`]; of `model` the weights mean nothing.
    fn cautions(&self, _task: &SwapTask, _model: &Classifier, _recipe: &Recipe) -> Result<Vec<String>> {
        Ok(vec![])
    }
}

/// What the registry knows of a method.
#[derive(Debug)]
pub struct MethodEntry {
    /// Name on the command line and of its model.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Where it comes from.
    pub paper: Option<&'static str>,
    /// Which sets it may open.
    pub needs: Needs,
    /// True for the cheats that only hide the old class, kept as negative controls.
    pub control: bool,
    /// Its parameters with their default values.
    pub defaults: fn() -> toml::Table,
    /// Builds it from parameters (those absent take their defaults).
    pub build: fn(&toml::Table) -> Result<Box<dyn Method>>,
}

/// Every method.
pub const METHODS: &[&MethodEntry] = &[
    &retrain::ENTRY,
    &short_retrain::ENTRY,
    &regrow::ENTRY,
    &finetune::ENTRY,
    &gradient_ascent::ENTRY,
    &masked_weights::ENTRY,
    &random_layers::ENTRY,
    &logit_mask::ENTRY,
    &head_distil::ENTRY,
];

/// The method that `name` means: itself or, of a variant `METHOD@LABEL`, the same method with other parameters in one run, what stands before the
/// `@`.
pub fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(method, _)| method)
}

/// The entry of the method or variant called `name`.
///
/// # Errors
/// No such method; a label that is empty or has other characters than a–z, 0–9 and `-`.
pub fn find(name: &str) -> Result<&'static MethodEntry> {
    if let Some((method, label)) = name.split_once('@')
        && (label.is_empty() || !label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
    {
        return Err(Error::input(
            format!("method `{name}`"),
            "a variant's label has the letters a to z, digits and -",
            format!("write for example {method}@b"),
        ));
    }
    let wanted = base(name);
    METHODS
        .iter()
        .find(|m| m.name == wanted)
        .copied()
        .ok_or_else(|| Error::input(format!("method `{name}`"), "no such method", did_you_mean(wanted, METHODS.iter().map(|m| m.name))))
}

/// What distinguishes the variant called `name`, with `parameters`, from its method as it is: a line like a method's summary.
///
/// # Errors
/// No such method.
pub fn variant_summary(name: &str, parameters: &toml::Table) -> Result<String> {
    let entry = find(name)?;
    let defaults = (entry.defaults)();
    let own: Vec<String> = parameters.iter().filter(|(key, value)| defaults.get(*key) != Some(*value)).map(|(k, v)| format!("{k} = {v}")).collect();
    Ok(if own.is_empty() { format!("{} as it is", entry.name) } else { format!("{} with {}", entry.name, own.join(", ")) })
}

/// Applies the method or variant called `name` to `original` as its registry entry allows: sets that it does not declare are locked, and for plain
/// unlearning the old classes' rows, which nobody would ship, are taken out of the result's head.
pub fn apply(name: &str, parameters: &toml::Table, original: Classifier, task: &SwapTask, ctx: &mut Context) -> Result<Classifier> {
    let entry = find(name)?;
    let made = (entry.build)(parameters)?.apply(original, &task.for_method(name, entry.needs), ctx)?;
    if task.learn.is_some() || made.spec().slots < task.before.len() {
        return Ok(made);
    }
    let mut gone = task.old_slots();
    gone.sort_unstable();
    gone.into_iter().rev().try_fold(made, Classifier::without_slot)
}

/// What kind of model the method or variant called `name` makes.
pub fn kind_of(name: &str) -> ModelKind {
    match METHODS.iter().find(|m| m.name == base(name)) {
        Some(m) if m.control => ModelKind::Control,
        _ => ModelKind::Method,
    }
}

/// The methods that only hide the old class: what an audit that sees anything must fail.
pub fn controls() -> impl Iterator<Item = &'static MethodEntry> {
    METHODS.iter().copied().filter(|m| m.control)
}

/// Adds to `names` the controls that they lack.
pub fn add_controls(names: &mut Vec<String>) {
    let lacking: Vec<String> = controls().map(|m| m.name.to_string()).filter(|c| !names.contains(c)).collect();
    names.extend(lacking);
}

/// Defaults of a parameter struct, as a table.
fn defaults<P: Default + Serialize>() -> toml::Table {
    toml::Table::try_from(P::default()).unwrap_or_default()
}

/// A parameter that every method has: another number is another draw of all that is random in it. Not among the methods' own, as they never
/// see it: it is in the seed that they are given.
const SEED: &str = "seed";

/// Which draw of its random numbers the method with `parameters` is to take; 0 unless they say.
///
/// # Errors
/// [`SEED`] is no whole number from 0 on.
pub fn draw(parameters: &toml::Table) -> Result<u64> {
    let Some(value) = parameters.get(SEED) else { return Ok(0) };
    let number = value.as_integer().and_then(|i| u64::try_from(i).ok());
    number
        .ok_or_else(|| Error::input(format!("a method's {SEED} = {value}"), "not a whole number from 0 on", format!("write for example {SEED} = 1")))
}

/// A method from its parameters: unknown keys are refused with the nearest valid one, values are checked.
fn build<P: Method + Default + Serialize + DeserializeOwned + 'static>(name: &str, given: &toml::Table) -> Result<Box<dyn Method>> {
    let mut table = defaults::<P>();
    draw(given)?;
    for (key, value) in given.iter().filter(|(key, _)| *key != SEED) {
        if !table.contains_key(key) {
            let remedy = if table.is_empty() { "it has no parameters".to_string() } else { did_you_mean(key, table.keys().map(String::as_str)) };
            return Err(Error::input(format!("[method.{name}] {key}"), "no such parameter", remedy));
        }
        // `1` is what people write for a floating-point 1.0.
        let value = match (&table[key], value) {
            (toml::Value::Float(_), toml::Value::Integer(i)) => toml::Value::Float(*i as f64),
            _ => value.clone(),
        };
        table.insert(key.clone(), value);
    }
    let method: P =
        table.try_into().map_err(|e: toml::de::Error| Error::input(format!("[method.{name}]"), e.message(), "see `unlearn list methods`"))?;
    method.check()?;
    Ok(Box::new(method))
}

/// Fails unless `value` is in `range`; for `check`.
fn in_range(method: &str, key: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::input(format!("[method.{method}] {key}"), format!("{value} is out of range"), format!("use {} to {}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sound() {
        let names: std::collections::BTreeSet<&str> = METHODS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), METHODS.len(), "names are unique");
        for m in METHODS {
            assert!(!m.summary.is_empty() && !m.summary.contains('\n'), "{}: a one-line summary", m.name);
            (m.build)(&toml::Table::new()).unwrap_or_else(|e| panic!("{}: its defaults must build: {e}", m.name));
            let bogus = toml::Table::from_iter([("no such key".to_string(), toml::Value::Integer(1))]);
            let error = (m.build)(&bogus).expect_err("an unknown key").to_string();
            assert!(error.contains(&format!("[method.{}]", m.name)), "{}: its `build` names another method: {error}", m.name);
            assert!(m.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", m.name);
        }
    }

    #[test]
    fn a_variant_is_its_method_under_another_name() {
        assert_eq!(find("regrow@half-2").expect("a variant").name, "regrow");
        assert_eq!((kind_of("logit-mask@b"), kind_of("regrow@b")), (ModelKind::Control, ModelKind::Method));
        let given: toml::Table = "budget = 0.1\ndistil = 'auto'\ncut = 'conv2'".parse().expect("valid");
        assert_eq!(variant_summary("regrow@b", &given).expect("known"), "regrow with budget = 0.1, cut = \"conv2\"");
        assert_eq!(variant_summary("regrow@b", &(regrow::ENTRY.defaults)()).expect("known"), "regrow as it is");
        let again: toml::Table = "seed = 2".parse().expect("valid");
        assert_eq!(variant_summary("regrow@b", &again).expect("known"), "regrow with seed = 2");
        for (name, says) in [("regrow@", "label"), ("regrow@A", "label"), ("regrow@a.b", "label"), ("regow@b", "did you mean `regrow`?")] {
            let error = find(name).expect_err(name).to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn unknown_parameters_are_refused_with_the_nearest() {
        let table: toml::Table = toml::from_str("epoch = 3").expect("valid TOML");
        let error = (finetune::ENTRY.build)(&table).expect_err("no such key");
        assert!(error.to_string().contains("did you mean `epochs`?"), "{error}");
        let table: toml::Table = toml::from_str("lr = \"fast\"").expect("valid TOML");
        let error = (finetune::ENTRY.build)(&table).expect_err("not a number");
        assert!(error.to_string().contains("[method.finetune]"), "{error}");
    }

    #[test]
    fn every_method_takes_a_draw() {
        let with = |seed: &str| format!("seed = {seed}").parse::<toml::Table>().expect("valid");
        for m in METHODS {
            (m.build)(&with("3")).unwrap_or_else(|e| panic!("{}: {e}", m.name));
            for bad in ["-1", "0.5", "'x'"] {
                let error = (m.build)(&with(bad)).map(|_| ()).expect_err(bad).to_string();
                assert!(error.contains("whole number"), "{}: {error}", m.name);
            }
        }
        assert_eq!((draw(&toml::Table::new()).expect("none"), draw(&with("3")).expect("given")), (0, 3));
    }
}
