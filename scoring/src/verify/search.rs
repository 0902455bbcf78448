//! The search: causes are tried on a sample of the rows, and those that help on all of them.

use std::path::Path;
use std::rc::Rc;

use quintile_model::{Model, Options, Trees};

use super::causes::{self, Cause};
use super::compare::Distance;
use super::read::Read;
use super::scores::{Quantity, RowTable, Scores};
use super::{Comparison, Finding, Report, VerifyError, VerifyJob, columns, outputs};
use crate::loaded::{LoadedModel, manifest_path};

/// Rows of each kind, equal and not, on which causes are tried before all rows are scored again.
const SAMPLE_ROWS: usize = 1_000;

/// Findings that are reported when none explains every row.
const FINDINGS_MAX: usize = 3;

/// Units in the last place that differences of `exp` explain.
const LAST_PLACE_MAX: u64 = 2;

/// Causes that are combined with every other when none alone explains all.
const COMBINED_MAX: usize = 4;

/// A model and a change of rows, and how many rows of all are equal with them.
struct AdviceTrial {
    finding: Finding,
    cause: Option<Cause>,
}

/// Looks for what makes the differing rows equal, and writes it into the report.
///
/// # Errors
/// A model file that has been removed in the meantime.
pub(super) fn search(
    job: &VerifyJob<'_>,
    loaded: &LoadedModel,
    read: &Read,
    comparison: &Comparison<'_>,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let sampled = Sample::new(comparison);
    let mut trials: Vec<AdviceTrial> = outputs::findings(comparison)
        .into_iter()
        .map(|finding| AdviceTrial { finding, cause: None })
        .collect();
    let model = &loaded.model;
    let mut causes = columns::usual(model, read.file_order.as_deref());
    causes.extend(causes::of_values(model, &read.table, &manifest_name(job.model)));
    let is_explained = |trials: &[AdviceTrial]| trials.iter().any(|trial| trial.finding.equal == report.rows);
    if !is_explained(&trials) {
        trials.extend(try_all(model, &causes, read, comparison, &sampled));
        trials.extend(other_trees(job, read, comparison));
    }
    if !is_explained(&trials) {
        let searched = columns::searched(
            model,
            &read.table,
            &read.expected,
            comparison.quantity,
            &sampled.differing,
        );
        trials.extend(try_all(model, searched.as_slice(), read, comparison, &sampled));
    }
    if !is_explained(&trials) {
        let combined = combined(&trials, &causes);
        trials.extend(try_all(model, &combined, read, comparison, &sampled));
    }
    let usual = report.tally.equal;
    trials.retain(|trial| trial.finding.equal > usual);
    trials.sort_by_key(|trial| std::cmp::Reverse(trial.finding.equal));
    if is_explained(&trials) {
        trials.retain(|trial| trial.finding.equal == report.rows);
    }
    trials.truncate(FINDINGS_MAX);
    if let Some(cause) = trials.iter().find_map(|trial| trial.cause.as_ref()) {
        tell_partings(job, loaded, &read.table, cause, report)?;
    }
    report.findings = trials.into_iter().map(|trial| trial.finding).collect();
    if report.findings.is_empty() {
        report.findings.push(unexplained(comparison, usual));
    }
    Ok(())
}

/// What the manifest of a model is or would be called.
fn manifest_name(model: Option<&Path>) -> String {
    let path = model.and_then(manifest_path);
    path.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "the manifest".into())
}

/// What is left when nothing that was tried helps.
fn unexplained(comparison: &Comparison<'_>, equal: usize) -> Finding {
    let correlation = comparison.correlation();
    let correlation = correlation.map_or_else(String::new, |value| {
        format!(" (their correlation with ours is {value:.3})")
    });
    let units = comparison.distances.iter().map(|distance| match distance {
        Distance::Equal => 0,
        Distance::Units(units) => *units,
        Distance::Nan => u64::MAX,
    });
    if let Some(units @ 1..=LAST_PLACE_MAX) = units.max() {
        return Finding {
            cause: "last_place",
            what: format!(
                "no number is more than {units} units in the last place off, which is how far `exp` differs between C libraries"
            ),
            advice: format!("--ulps {units} accepts that; margins (--of margin) are equal to the last bit"),
            equal,
        };
    }
    Finding {
        cause: "unexplained",
        what: format!(
            "nothing that was tried explains the differences: the expected numbers are probably those of another model \
             file, or of other rows{correlation}"
        ),
        advice: "make the numbers again from this very model file and these very rows, in one script".into(),
        equal,
    }
}

/// Rows that differ and rows that do not.
struct Sample {
    differing: Vec<usize>,
    all: Vec<usize>,
    /// Rows of the sample that are equal as they are.
    equal: usize,
}

impl Sample {
    fn new(comparison: &Comparison<'_>) -> Self {
        let rows = 0..comparison.distances.len();
        let (equal, differing): (Vec<usize>, Vec<usize>) =
            rows.partition(|&row| comparison.distances[row] == Distance::Equal);
        let differing: Vec<usize> = differing.into_iter().take(SAMPLE_ROWS).collect();
        let equal: Vec<usize> = equal.into_iter().take(SAMPLE_ROWS).collect();
        Self {
            all: [differing.as_slice(), &equal].concat(),
            equal: equal.len(),
            differing,
        }
    }
}

/// Tries causes on the sample, and counts over all rows for those that help there.
fn try_all(
    model: &Model,
    causes: &[Cause],
    read: &Read,
    comparison: &Comparison<'_>,
    sample: &Sample,
) -> Vec<AdviceTrial> {
    let all: Vec<usize> = (0..read.table.rows()).collect();
    let helps = |cause: &&Cause| best(model, cause, read, comparison, &sample.all).1 > sample.equal;
    let tried = causes.iter().filter(helps).map(|cause| {
        let (quantity, equal) = best(model, cause, read, comparison, &all);
        let what = match quantity == comparison.quantity {
            true => format!("the library {}", cause.what),
            false => format!("the library {}, and the numbers are {}", cause.what, quantity.plural()),
        };
        AdviceTrial {
            finding: Finding {
                cause: cause.name,
                what,
                advice: cause.advice.clone(),
                equal,
            },
            cause: Some(cause.clone()),
        }
    });
    tried.collect()
}

/// The quantity of which most rows are equal after a change, and how many are.
fn best(model: &Model, cause: &Cause, read: &Read, comparison: &Comparison<'_>, rows: &[usize]) -> (Quantity, usize) {
    let changed = read.table.select(rows, |row| (cause.change)(row));
    best_of(&Scores::of(model, &changed), read, comparison, rows)
}

fn best_of(scores: &Scores, read: &Read, comparison: &Comparison<'_>, rows: &[usize]) -> (Quantity, usize) {
    let counted = comparison.quantities.iter().rev();
    let counted = counted.map(|&quantity| (quantity, scores.equal(quantity, &read.expected, rows)));
    counted
        .max_by_key(|&(_, equal)| equal)
        .unwrap_or((comparison.quantity, 0))
}

/// The other choice of trees: the best iteration, or all of them.
fn other_trees(job: &VerifyJob<'_>, read: &Read, comparison: &Comparison<'_>) -> Option<AdviceTrial> {
    let (trees, what, advice) = match job.options.trees {
        Trees::All => (
            Trees::Best,
            "used the trees up to best_iteration only (the scikit-learn wrapper does after early stopping)",
            "score with --trees best, serve with trees = \"best\" under [model]",
        ),
        Trees::Best => (
            Trees::All,
            "used all trees, not only those up to best_iteration (Booster.predict does)",
            "score and serve with all trees: leave out --trees best",
        ),
    };
    let options = Options { trees, ..job.options };
    // A model without a best iteration has no other choice.
    let loaded = LoadedModel::load(job.model, options, 0).ok()?;
    let all: Vec<usize> = (0..read.table.rows()).collect();
    let (_, equal) = best_of(&Scores::of(&loaded.model, &read.table), read, comparison, &all);
    Some(AdviceTrial {
        finding: Finding {
            cause: "best_iteration",
            what: format!("the library {what}"),
            advice: advice.into(),
            equal,
        },
        cause: None,
    })
}

/// Each of the causes that helped most with each other cause.
fn combined(trials: &[AdviceTrial], causes: &[Cause]) -> Vec<Cause> {
    let mut helped: Vec<&AdviceTrial> = trials.iter().filter(|trial| trial.cause.is_some()).collect();
    helped.sort_by_key(|trial| std::cmp::Reverse(trial.finding.equal));
    let helped: Vec<&Cause> = helped.iter().filter_map(|trial| trial.cause.as_ref()).collect();
    // A cause that helps alone also shows where to begin; if none does, all pairs must be tried.
    let first: Vec<&Cause> = match helped.is_empty() {
        true => causes.iter().collect(),
        false => helped.into_iter().take(COMBINED_MAX).collect(),
    };
    let is_other = |one: &Cause, other: &Cause| !Rc::ptr_eq(&one.change, &other.change);
    let pairs = first
        .iter()
        .flat_map(|one| causes.iter().map(move |other| (*one, other)));
    pairs
        .filter(|(one, other)| is_other(one, other))
        .take(2_000)
        .map(|(one, other)| one.and(other))
        .collect()
}

/// Says of each reported difference at which node the changed row takes another branch.
fn tell_partings(
    job: &VerifyJob<'_>,
    loaded: &LoadedModel,
    table: &RowTable,
    cause: &Cause,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let ensemble = LoadedModel::ensemble(job.model).map_err(Box::new)?;
    for difference in &mut report.differences {
        let row = table.row(difference.row - 1);
        let mut changed = row.to_vec();
        (cause.change)(&mut changed);
        difference.parting = ensemble.parting(row, &changed).map(|parting| {
            let name = crate::text::excerpt(loaded.model.schema().name(parting.feature));
            let compared = parting
                .threshold
                .map_or_else(|| "a set of categories".into(), |threshold| format!("{threshold:?}"));
            let (ours, theirs) = (row[parting.feature], changed[parting.feature]);
            format!(
                "tree {}, node {} compares {name} with {compared}: it is {} here and {} there",
                parting.tree,
                parting.node,
                shown(ours),
                shown(theirs)
            )
        });
    }
    Ok(())
}

fn shown(value: f64) -> String {
    if value.is_nan() {
        "missing".into()
    } else {
        format!("{value:?}")
    }
}
