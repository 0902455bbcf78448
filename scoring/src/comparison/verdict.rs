//! "May I promote?" in one line with its reasons. The limits are stated in `docs/replay.md`.

use super::text::{number, percent};
use super::{ComparisonReport, Movement};

/// Rows below which nothing is decided.
const ROWS_MIN: u64 = 500;

/// Leads of each outcome below which outcomes decide nothing.
const OUTCOMES_MIN: u64 = 30;

/// An area that may be lower by so much is not worse.
const AUC_MARGIN: f64 = 0.01;

/// The usual limits of the population stability index: below the first distributions are alike, from the second they differ.
const PSI_ALIKE: f64 = 0.1;
const PSI_DIFFERENT: f64 = 0.25;

/// The share of rows that may move between 4-5 and 1-3 in one direction without a look.
const MOVED_SHARE_MAX: f64 = 0.05;

/// May the other model be promoted?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing speaks against it.
    Yes,
    /// A person should look at what is named first.
    LookFirst,
    /// It is worse, or something else.
    No,
}

impl Verdict {
    /// A word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::LookFirst => "look_first",
            Self::No => "no",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::LookFirst => "look first",
            Self::No => "no",
        }
    }
}

/// The verdict and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The verdict: that of the gravest reason.
    pub verdict: Verdict,
    /// Each reason with what it alone would say, gravest first.
    pub reasons: Vec<(Verdict, String)>,
}

impl Promotion {
    /// The verdict with its reasons, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let reasons: Vec<&str> = self.reasons.iter().map(|(_, reason)| reason.as_str()).collect();
        format!("May it be promoted? {}: {}", self.verdict.words(), reasons.join("; "))
    }

    pub(super) fn of(report: &ComparisonReport) -> Self {
        let mut reasons = Vec::new();
        if report.rows < ROWS_MIN {
            let rows = report.rows;
            reasons.push((
                Verdict::LookFirst,
                format!("only {rows} rows were compared, and {ROWS_MIN} are needed"),
            ));
        }
        if report.unscored > 0 {
            let (unscored, rows) = (report.unscored, report.unscored + report.rows);
            reasons.push((Verdict::LookFirst, format!("it refuses {unscored} of {rows} rows")));
        }
        if report.not_numbers > 0 {
            let rows = report.not_numbers;
            reasons.push((
                Verdict::LookFirst,
                format!("{rows} rows have a prediction that is no number"),
            ));
        }
        let (is_better, outcomes) = outcomes(report);
        reasons.push(outcomes);
        reasons.extend(shift(report, is_better));
        reasons.extend(movement(&report.movement, is_better));
        if report.rows < ROWS_MIN {
            // So few rows decide nothing, neither way.
            for (verdict, _) in &mut reasons {
                *verdict = (*verdict).min(Verdict::LookFirst);
            }
        }
        // The sort is stable: reasons of one verdict keep their order.
        reasons.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
        Self {
            verdict: reasons.first().map_or(Verdict::LookFirst, |(verdict, _)| *verdict),
            reasons,
        }
    }
}

/// What outcomes say, and whether they say that the other model is better.
fn outcomes(report: &ComparisonReport) -> (bool, (Verdict, String)) {
    let Some(auc) = &report.auc else {
        let says = "without outcomes nobody can tell which model is better, only whether they are alike";
        return (false, (Verdict::Yes, says.into()));
    };
    let few = auc.converted.min(auc.not_converted);
    let Some([low, high]) = auc.interval.filter(|_| few >= OUTCOMES_MIN) else {
        let (converted, not) = (auc.converted, auc.not_converted);
        let says = format!(
            "{converted} leads that converted and {not} that did not are too few to tell which model is better, \
             {OUTCOMES_MIN} of each are needed"
        );
        return (false, (Verdict::LookFirst, says));
    };
    let figures = format!(
        "AUC {:.4} against {:.4}, difference {:+.4}, 95 % interval {low:+.4} to {high:+.4}",
        auc.other, auc.champion, auc.difference
    );
    if high < 0.0 {
        (false, (Verdict::No, format!("it ranks leads worse ({figures})")))
    } else if low > 0.0 {
        (true, (Verdict::Yes, format!("it ranks leads better ({figures})")))
    } else if low >= -AUC_MARGIN {
        let says = format!("it ranks leads no worse than by {AUC_MARGIN} ({figures})");
        (false, (Verdict::Yes, says))
    } else {
        let says = format!("the outcomes do not say which model ranks leads better ({figures})");
        (false, (Verdict::LookFirst, says))
    }
}

fn shift(report: &ComparisonReport, is_better: bool) -> Option<(Verdict, String)> {
    let psi = report.shift.as_ref()?.psi;
    let shown = number(psi);
    Some(if psi >= PSI_DIFFERENT {
        let verdict = if is_better { Verdict::LookFirst } else { Verdict::No };
        let says = format!("its predictions are distributed differently (PSI {shown}, limit {PSI_DIFFERENT})");
        (verdict, says)
    } else if psi >= PSI_ALIKE {
        let verdict = if is_better { Verdict::Yes } else { Verdict::LookFirst };
        (
            verdict,
            format!("its predictions are distributed a little differently (PSI {shown}, limit {PSI_ALIKE})"),
        )
    } else {
        (
            Verdict::Yes,
            format!("its predictions are distributed alike (PSI {shown})"),
        )
    })
}

fn movement(movement: &Movement, is_better: bool) -> Option<(Verdict, String)> {
    let agreement = movement.band_agreement?;
    let Movement { rows, down, up, .. } = *movement;
    let says = format!(
        "{} of scores agree, {down} of {rows} rows move from 4-5 to 1-3 ({}) and {up} back ({})",
        percent(agreement),
        percent(movement.share(down)),
        percent(movement.share(up))
    );
    let is_much = movement.share(down.max(up)) > MOVED_SHARE_MAX;
    let verdict = if is_much && !is_better {
        Verdict::LookFirst
    } else {
        Verdict::Yes
    };
    Some((verdict, says))
}
