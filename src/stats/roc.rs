//! ROC curves of attacks that score samples, a higher score meaning "member".
//!
//! Thresholds lie between distinct scores only: samples of equal score are accepted or refused together, so that no order of the input can
//! change the curve (Fawcett, Pattern Recognition Letters 27, 2006, algorithm 1).

/// The 97.5 % point of the normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// A ROC curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Roc {
    members: usize,
    non_members: usize,
    /// (false positives, true positives) at each threshold, from (0, 0) to (all, all).
    vertices: Vec<(usize, usize)>,
}

/// An area under the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auc {
    /// P(member's score > non-member's) + ½ P(equal), 0 to 1; 0.5 is chance.
    pub value: f64,
    /// Its standard error; none with fewer than two samples on either side.
    pub se: Option<f64>,
}

/// A true-positive rate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Share of members accepted.
    pub value: f64,
    /// Lower end of the Wilson interval, see [`wilson`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Roc {
    /// The curve of these scores; none where either side is empty or a score is NaN. Infinite scores are scores like others.
    pub fn of(members: &[f64], non_members: &[f64]) -> Option<Self> {
        if members.is_empty() || non_members.is_empty() || members.iter().chain(non_members).any(|s| s.is_nan()) {
            return None;
        }
        // + 0.0 makes one zero of the two, which are equal scores but not the same to `total_cmp`.
        let mut scores: Vec<(f64, bool)> = members.iter().map(|s| (s + 0.0, true)).chain(non_members.iter().map(|s| (s + 0.0, false))).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut fp, mut tp) = (0, 0);
        let mut vertices = vec![(0, 0)];
        for (i, (score, member)) in scores.iter().enumerate() {
            if *member {
                tp += 1
            } else {
                fp += 1
            }
            if scores.get(i + 1).is_none_or(|next| next.0 != *score) {
                vertices.push((fp, tp));
            }
        }
        Some(Self { members: members.len(), non_members: non_members.len(), vertices })
    }

    /// (false-positive rate, true-positive rate) at each threshold, from (0, 0) to (1, 1).
    pub fn points(&self) -> Vec<(f64, f64)> {
        let (m, n) = (self.members as f64, self.non_members as f64);
        self.vertices.iter().map(|(fp, tp)| (*fp as f64 / n, *tp as f64 / m)).collect()
    }

    /// The Mann–Whitney statistic over m·n, with the standard error of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988): the variance
    /// of the placement values of members over m plus that of non-members over n. It speaks of other samples, not of other models.
    pub fn auc(&self) -> Auc {
        let (m, n) = (self.members as f64, self.non_members as f64);
        // Twice the count of pairs in the right order, ties a half: a whole number, so exact.
        let twice: u128 = self.steps().map(|(before, after)| ((after.0 - before.0) * (before.1 + after.1)) as u128).sum();
        let value = twice as f64 / (2.0 * m * n);
        let (mut of_members, mut of_others) = (0.0, 0.0);
        for (before, after) in self.steps() {
            // Placements: the share of non-members that a member of this score beats, and of members that beat a non-member of it.
            let beaten = (n - (before.0 + after.0) as f64 / 2.0) / n;
            let beats = (before.1 + after.1) as f64 / 2.0 / m;
            of_members += (after.1 - before.1) as f64 * (beaten - value).powi(2);
            of_others += (after.0 - before.0) as f64 * (beats - value).powi(2);
        }
        let enough = self.members > 1 && self.non_members > 1;
        let se = enough.then(|| (of_members / (m - 1.0) / m + of_others / (n - 1.0) / n).sqrt());
        Auc { value, se }
    }

    /// The largest true-positive rate at a threshold whose false-positive rate is at most `level`: no interpolation, so never more than the
    /// attack achieves. None where `level` times the number of non-members is below one: such a level can't be told from zero.
    ///
    /// The interval holds the threshold fixed and speaks of other members only.
    pub fn tpr_at(&self, level: f64) -> Option<Rate> {
        // Rounding must not take the last allowed false positive away: 0.01 · 300 is a little less than 3.
        let allowed = (level * self.non_members as f64 + 1e-9).floor();
        if allowed < 1.0 {
            return None;
        }
        let hits = self.vertices.iter().take_while(|(fp, _)| *fp as f64 <= allowed).map(|(_, tp)| *tp).max()?;
        let (low, high) = wilson(hits, self.members);
        Some(Rate { value: hits as f64 / self.members as f64, low, high })
    }

    fn steps(&self) -> impl Iterator<Item = ((usize, usize), (usize, usize))> {
        self.vertices.windows(2).map(|w| (w[0], w[1]))
    }
}

/// The 95 % interval of Wilson (1927) for a share of `hits` in `trials`, without correction for continuity; it keeps its coverage for shares
/// near 0 and 1 (Brown, Cai & DasGupta, Statistical Science 16, 2001). 0 to 1 without trials.
pub fn wilson(hits: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (k, n) = (hits as f64, trials as f64);
    let (p, z2) = (k / n, Z95 * Z95);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // The ends are 0 and 1 exactly where all trials agree; elsewhere rounding is all that could pass them.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits == trials { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests;
