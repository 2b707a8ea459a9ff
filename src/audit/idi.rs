//! `idi`: the information difference index, one number for what all cuts together still know of the old class.

use super::verdict::Figures;
use super::{Audit, Measured, Reference, mlp_probe, probe};
use crate::stats;
use crate::summary::{Family, ModelKind};

/// Derived from the information that read-outs find at the cuts, for a model u, oracles r and the original o:
/// ID(u) = Σ_cuts [I_u(Z;Y) − mean over r of I_r(Z;Y)] in nats, IDI = ID(u)/ID(o): 0 at the oracles' mean, 1 at the original, below 0 where less is
/// left than oracles show.
///
/// - `idi`, `information_difference` (ID(u), not judged): I from the calibrated ridge read-out, free of training noise;
/// - `idi_mlp`, `information_difference_mlp`: I from the calibrated network, which also sees what is not linear.
///
/// The paper estimates I with InfoNCE critics; here it is ln 2 minus a calibrated probe's cross-entropy on test data, a lower bound too, of the
/// information on a class prior of one half (see [`super::platt::Platt::information`]). Nothing is clamped at 0.
///
/// Undefined without original or with fewer than two oracles, and where ID(o) is not above 2·sd·√(1+1/n), the oracles' own spread: where the
/// original knows no more than retrained models do, there is no yardstick. An oracle's ID is to the others' mean, its yardstick that of all.
#[derive(Debug)]
pub struct Idi;

/// Why there is no index.
const UNDEFINED: &str =
    "no yardstick: what the original knows beyond the oracles is within these oracles' own spread, or there are too few models to tell";

/// A twentieth of the way from oracles to original.
const TOLERANCE: f64 = 0.05;

impl Audit for Idi {
    fn name(&self) -> &'static str {
        "idi"
    }

    fn summary(&self) -> &'static str {
        "information difference index: what all cuts together tell of the old class, 0 as oracles, 1 as the original"
    }

    fn source(&self) -> &'static str {
        "Jeon et al., AAAI 2026, arXiv 2405.17878; information by probes instead of InfoNCE critics"
    }

    fn family(&self) -> Family {
        Family::Features
    }

    fn derive(&self, me: &Figures, all: &[Figures]) -> Vec<Measured> {
        let sources = [("", "probe", probe::INFORMATION), ("_mlp", "mlp-probe", mlp_probe::INFORMATION)];
        let both = sources.map(|(suffix, audit, metric)| {
            let (index, difference) = compared(me, all, audit, metric);
            [
                Measured::new(format!("idi{suffix}"), index, "index", TOLERANCE)
                    .showing_old_class()
                    .against(Reference::OraclesMeanSigned)
                    .undefined_because(|| UNDEFINED.into()),
                Measured::new(format!("information_difference{suffix}"), difference, "nats", 0.01).descriptive(),
            ]
        });
        both.into_iter().flatten().collect()
    }
}

/// Information by cut; none where a cut has none.
fn by_cut<'a>(of: &'a Figures, audit: &str, metric: &str) -> Option<Vec<(&'a str, f64)>> {
    let here = of.figures.iter().filter(|(a, m)| *a == audit && m.metric == metric);
    let cuts: Vec<(&str, f64)> = here.map(|(_, m)| Some((m.cut.as_deref()?, m.value?))).collect::<Option<_>>()?;
    (!cuts.is_empty()).then_some(cuts)
}

/// IDI and ID of `me`. Models with other cuts can't be compared.
fn compared(me: &Figures, all: &[Figures], audit: &str, metric: &str) -> (Option<f64>, Option<f64>) {
    let Some(mine) = by_cut(me, audit, metric) else { return (None, None) };
    let total = |of: &Figures| -> Option<f64> {
        let cuts = by_cut(of, audit, metric)?;
        cuts.iter().map(|c| c.0).eq(mine.iter().map(|c| c.0)).then(|| cuts.iter().map(|c| c.1).sum())
    };
    let oracles: Option<Vec<(bool, f64)>> =
        all.iter().filter(|m| m.kind == ModelKind::Oracle).map(|m| Some((m.model == me.model, total(m)?))).collect();
    let Some(oracles) = oracles else { return (None, None) };
    let of = |others_only: bool| oracles.iter().filter(|(is_me, _)| !(others_only && *is_me)).map(|(_, t)| *t).collect::<Vec<f64>>();
    let (others, every) = (of(true), of(false));
    if others.is_empty() {
        return (None, None);
    }
    let mine = total(me).map(|t| t - stats::mean(&others));
    // One yardstick for all models, by all oracles: without the oracle under audit its spread would be a matter of luck.
    let original = all.iter().find(|m| m.kind == ModelKind::Original).and_then(total).map(|t| t - stats::mean(&every));
    let noise = stats::sd(&every).map(|sd| 2.0 * sd * (1.0 + 1.0 / every.len() as f64).sqrt());
    let yardstick = original.zip(noise).filter(|(o, noise)| o > noise).map(|(o, _)| o);
    (mine.zip(yardstick).map(|(m, o)| m / o), mine)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model whose ridge read-out finds this much at two cuts.
    fn model(name: &str, kind: ModelKind, information: [f64; 2]) -> Figures {
        let at = |cut: &str, value| ("probe", Measured::new(probe::INFORMATION, Some(value), "nats", 0.01).at(cut));
        Figures { model: name.into(), kind, figures: vec![at("a", information[0]), at("b", information[1])] }
    }

    fn run() -> Vec<Figures> {
        vec![
            model("original", ModelKind::Original, [0.30, 0.60]),
            model("oracle-1", ModelKind::Oracle, [0.29, 0.40]),
            model("oracle-2", ModelKind::Oracle, [0.31, 0.40]),
            model("oracle-3", ModelKind::Oracle, [0.30, 0.40]),
            model("half", ModelKind::Method, [0.35, 0.45]),
            model("below", ModelKind::Method, [0.25, 0.35]),
        ]
    }

    fn value(figures: &[Measured], metric: &str) -> Option<f64> {
        figures.iter().find(|m| m.metric == metric).expect("there").value
    }

    #[test]
    fn zero_is_the_oracles_one_the_original() {
        // Sums: original .90, oracles .69, .71, .70: mean .70, sd .01, noise 2·.01·√(4/3) = .023; ID(original) = .20.
        let all = run();
        let index = |i: usize| value(&Idi.derive(&all[i], &all), "idi").expect("defined");
        assert!((index(0) - 1.0).abs() < 1e-12);
        assert!((index(4) - 0.5).abs() < 1e-12, "(.80 − .70)/.20");
        assert!((index(5) + 0.5).abs() < 1e-12, "(.60 − .70)/.20: not clamped");
        // An oracle beside the other two, by the yardstick of all: mean .705, (.69 − .705)/(.90 − .70)
        assert!((index(1) + 0.015 / 0.2).abs() < 1e-12);
        assert_eq!(value(&Idi.derive(&all[4], &all), "idi_mlp"), None, "no network was trained");
    }

    #[test]
    fn no_yardstick_no_index() {
        let difference = |all: &[Figures]| value(&Idi.derive(&all[4], all), "information_difference");
        let index = |all: &[Figures]| value(&Idi.derive(&all[4], all), "idi");
        let mut all = run();
        all[0] = model("original", ModelKind::Original, [0.30, 0.42]); // .72: .02 above oracles whose noise is .023
        assert_eq!(index(&all), None);
        assert!(difference(&all).is_some_and(|d| (d - 0.1).abs() < 1e-12));
        all[0].kind = ModelKind::Subject;
        assert_eq!(index(&all), None, "no original");
        let mut all = run();
        all[1].kind = ModelKind::Subject;
        all[2].kind = ModelKind::Subject;
        assert_eq!(index(&all), None, "one oracle has no spread");
        all[3].kind = ModelKind::Subject;
        assert_eq!(difference(&all), None, "no oracle");
        assert_eq!(value(&Idi.derive(&run()[1], &run()[..2]), "information_difference"), None, "an oracle alone has none to compare with");
        let mut all = run();
        all[2].figures[1].1.value = None;
        assert_eq!(difference(&all), None, "an oracle that diverged");
    }
}
