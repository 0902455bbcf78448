//! How well two models rank the same leads by their outcomes: the area under the ROC curve (AUC) of each, and an interval of
//! their difference by the method of DeLong, DeLong and Clarke-Pearson (1988), which knows that the leads are the same.
//!
//! The area is the share of pairs of a lead that converted and one that did not in which the first has the higher
//! prediction; equal predictions count half. Of each lead that share over all leads of the other outcome is its placement;
//! the variance of the areas comes from the placements.
//!
//! Flat memory: up to a number of leads every prediction is kept. Beyond it, predictions are counted in a grid of
//! [`BINS`] × [`BINS`] bins, cut at the quantiles of those kept so far. Predictions in one bin count as equal, which moves an
//! area by no more than [`AucReport::auc_error_max`].

use super::bins::{bin_of, quantile_edges};

/// Bins of each model's predictions when not all are kept: a grid of 16 MiB.
const BINS: usize = 1024;

/// The quantile of the normal distribution for an interval of 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// Predictions of leads whose outcome is known.
#[derive(Debug)]
pub(super) struct OutcomeRanks {
    exact_rows: usize,
    /// Both predictions and the outcome.
    exact: Vec<(f64, f64, bool)>,
    grid: Option<Grid>,
}

/// How many leads of each outcome are in each pair of bins.
#[derive(Debug)]
struct Grid {
    champion: Vec<f64>,
    other: Vec<f64>,
    /// Of each cell, by the champion's bin and then the other's: leads that converted and leads that did not.
    cells: Vec<[u64; 2]>,
}

/// How well two models rank leads by their outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct AucReport {
    /// Leads that converted.
    pub converted: u64,
    /// Leads that did not.
    pub not_converted: u64,
    /// The champion's area under the ROC curve.
    pub champion: f64,
    /// The other model's.
    pub other: f64,
    /// The other's minus the champion's.
    pub difference: f64,
    /// The bounds of the difference's 95 % interval; none with fewer than two leads of an outcome.
    pub interval: Option<[f64; 2]>,
    /// By how much binning may have moved each area at most; 0 where all predictions were kept.
    pub auc_error_max: f64,
}

impl OutcomeRanks {
    pub(super) fn new(exact_rows: usize) -> Self {
        Self {
            exact_rows: exact_rows.max(1),
            exact: Vec::new(),
            grid: None,
        }
    }

    pub(super) fn add(&mut self, champion: f64, other: f64, is_converted: bool) {
        if let Some(grid) = &mut self.grid {
            return grid.add(champion, other, is_converted);
        }
        if self.exact.len() == self.exact_rows {
            let mut grid = Grid::of(&self.exact);
            grid.add(champion, other, is_converted);
            self.grid = Some(grid);
            self.exact = Vec::new();
        } else {
            self.exact.push((champion, other, is_converted));
        }
    }

    /// None unless there are leads of both outcomes.
    pub(super) fn report(&self) -> Option<AucReport> {
        if let Some(grid) = &self.grid {
            let width = grid.other.len() + 1;
            let cells = grid.cells.iter().enumerate().filter(|(_, counts)| **counts != [0, 0]);
            let cells = cells.map(|(cell, &counts)| ([cell / width, cell % width], counts));
            return paired(
                cells,
                [grid.champion.len() + 1, width],
                Some([grid.champion.as_slice(), grid.other.as_slice()]),
            );
        }
        let champion = ranks(self.exact.iter().map(|row| row.0));
        let other = ranks(self.exact.iter().map(|row| row.1));
        let groups = [&champion, &other].map(|ranks| ranks.iter().max().map_or(0, |max| max + 1));
        let cells = self.exact.iter().zip(champion.iter().zip(&other));
        let cells = cells.map(|(&(.., is_converted), (&champion, &other))| ([champion, other], counts(is_converted)));
        paired(cells, groups, None)
    }
}

impl Grid {
    fn of(rows: &[(f64, f64, bool)]) -> Self {
        let edges = |number: fn(&(f64, f64, bool)) -> f64| {
            let mut numbers: Vec<f64> = rows.iter().map(number).collect();
            numbers.sort_by(f64::total_cmp);
            quantile_edges(&numbers, BINS)
        };
        let (champion, other) = (edges(|row| row.0), edges(|row| row.1));
        let mut grid = Self {
            cells: vec![[0, 0]; (champion.len() + 1) * (other.len() + 1)],
            champion,
            other,
        };
        rows.iter()
            .for_each(|&(champion, other, is_converted)| grid.add(champion, other, is_converted));
        grid
    }

    fn add(&mut self, champion: f64, other: f64, is_converted: bool) {
        let (row, column) = (bin_of(&self.champion, champion), bin_of(&self.other, other));
        let cell = &mut self.cells[row * (self.other.len() + 1) + column];
        cell[usize::from(!is_converted)] += 1;
    }
}

/// How well one model ranks leads by their outcomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SingleAuc {
    /// The area under the ROC curve.
    pub area: f64,
    /// The bounds of its 95 % interval, by the method of DeLong; none with fewer than two leads of an outcome.
    pub interval: Option<[f64; 2]>,
}

/// The area of predictions whose outcomes are known; none unless there are leads of both outcomes.
#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
pub(crate) fn single_auc(rows: &[(f64, bool)]) -> Option<SingleAuc> {
    let ranks = ranks(rows.iter().map(|row| row.0));
    let mut groups = vec![[0_u64; 2]; ranks.iter().max().map_or(0, |max| max + 1)];
    let mut totals = [0_u64; 2];
    for (&rank, &(_, is_converted)) in ranks.iter().zip(rows) {
        for (outcome, count) in counts(is_converted).into_iter().enumerate() {
            groups[rank][outcome] += count;
            totals[outcome] += count;
        }
    }
    if totals.contains(&0) {
        return None;
    }
    let sizes = totals.map(|total| total as f64);
    let placements = Placements::of(&groups, sizes);
    let sum = |outcome: usize, of: &dyn Fn(usize) -> f64| {
        let groups = groups.iter().enumerate();
        groups
            .map(|(place, counts)| counts[outcome] as f64 * of(place))
            .sum::<f64>()
    };
    let area = sum(0, &|place| placements.converted[place]) / sizes[0];
    let squares = [
        sum(0, &|place| (placements.converted[place] - area).powi(2)),
        sum(1, &|place| (placements.not_converted[place] - area).powi(2)),
    ];
    let variance = squares[0] / (sizes[0] - 1.0) / sizes[0] + squares[1] / (sizes[1] - 1.0) / sizes[1];
    let margin = Z_95 * variance.sqrt();
    let is_estimable = totals.iter().all(|&total| total > 1);
    Some(SingleAuc {
        area,
        interval: is_estimable.then(|| [(area - margin).max(0.0), (area + margin).min(1.0)]),
    })
}

/// One lead: converted or not.
fn counts(is_converted: bool) -> [u64; 2] {
    [u64::from(is_converted), u64::from(!is_converted)]
}

/// Of each number how many different numbers are below it.
fn ranks(numbers: impl Iterator<Item = f64>) -> Vec<usize> {
    // -0 and 0 are equal.
    let mut sorted: Vec<(f64, usize)> = numbers.map(|number| number + 0.0).zip(0..).collect();
    sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut ranks = vec![0; sorted.len()];
    let mut rank = 0;
    for (place, &(number, row)) in sorted.iter().enumerate() {
        rank += usize::from(place > 0 && sorted[place - 1].0 < number);
        ranks[row] = rank;
    }
    ranks
}

/// The placements of one model's groups of equal predictions.
struct Placements {
    /// Of a lead that converted: the share of the others that it is above.
    converted: Vec<f64>,
    /// Of a lead that did not: the share of those that did which are above it.
    not_converted: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
impl Placements {
    fn of(groups: &[[u64; 2]], [converted, not_converted]: [f64; 2]) -> Self {
        let mut placements = Self {
            converted: Vec::with_capacity(groups.len()),
            not_converted: Vec::with_capacity(groups.len()),
        };
        let mut below = [0.0, 0.0];
        for group in groups {
            let own = group.map(|count| count as f64);
            placements.converted.push((below[1] + own[1] / 2.0) / not_converted);
            placements
                .not_converted
                .push(1.0 - (below[0] + own[0] / 2.0) / converted);
            below = [below[0] + own[0], below[1] + own[1]];
        }
        placements
    }
}

/// By how much the order of the leads within bins could move an area at most. A bin of one number has no order.
#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
fn binning_error_max(bins: &[[u64; 2]], edges: &[f64], [converted, not_converted]: [f64; 2]) -> f64 {
    let is_of_one_number = |bin: usize| {
        let edge = |bin: usize| edges.get(bin).copied();
        bin.checked_sub(1).and_then(edge).map(f64::next_up) >= edge(bin) && edge(bin).is_some()
    };
    let of_several = bins.iter().enumerate().filter(|(bin, _)| !is_of_one_number(*bin));
    let errors = of_several.map(|(_, counts)| counts[0] as f64 * counts[1] as f64 / 2.0 / (converted * not_converted));
    errors.sum()
}

/// The areas and the interval of leads that are in `cells`: the groups of both models, and how many of each outcome. Where
/// groups are bins, `edges` are theirs.
#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
fn paired(
    cells: impl Iterator<Item = ([usize; 2], [u64; 2])> + Clone,
    groups: [usize; 2],
    edges: Option<[&[f64]; 2]>,
) -> Option<AucReport> {
    let mut counted = groups.map(|groups| vec![[0_u64; 2]; groups]);
    let mut totals = [0_u64; 2];
    for (place, counts) in cells.clone() {
        for (outcome, count) in counts.into_iter().enumerate() {
            counted[0][place[0]][outcome] += count;
            counted[1][place[1]][outcome] += count;
            totals[outcome] += count;
        }
    }
    if totals.contains(&0) {
        return None;
    }
    let sizes = totals.map(|total| total as f64);
    let placements = [&counted[0], &counted[1]].map(|groups| Placements::of(groups, sizes));
    let mut areas = [0.0; 2];
    for (place, counts) in cells.clone() {
        for (model, area) in areas.iter_mut().enumerate() {
            *area += counts[0] as f64 * placements[model].converted[place[model]] / sizes[0];
        }
    }
    // The difference of the areas is the mean of differences of placements, so its variance is that of these.
    let difference = areas[1] - areas[0];
    let mut squares = [0.0; 2];
    for (place, counts) in cells {
        let of = |outcome: fn(&Placements) -> &Vec<f64>| {
            let off = outcome(&placements[1])[place[1]] - outcome(&placements[0])[place[0]] - difference;
            off * off
        };
        squares[0] += counts[0] as f64 * of(|placements| &placements.converted);
        squares[1] += counts[1] as f64 * of(|placements| &placements.not_converted);
    }
    let is_estimable = totals.iter().all(|&total| total > 1);
    let variance = squares[0] / (sizes[0] - 1.0) / sizes[0] + squares[1] / (sizes[1] - 1.0) / sizes[1];
    let margin = Z_95 * variance.sqrt();
    let error_max = |edges: [&[f64]; 2]| {
        let [champion, other] = [0, 1].map(|model| binning_error_max(&counted[model], edges[model], sizes));
        champion.max(other)
    };
    Some(AucReport {
        converted: totals[0],
        not_converted: totals[1],
        champion: areas[0],
        other: areas[1],
        difference,
        interval: is_estimable.then_some([difference - margin, difference + margin]),
        auc_error_max: edges.map_or(0.0, error_max),
    })
}
