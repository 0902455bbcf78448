//! One `Tree=` block. Split nodes keep their numbers; leaf `k` follows them as node `splits + k`.

use super::super::FormatError;
use super::lines::{Fields, Lines};
use crate::ensemble::{Node, Term, Tree};
use crate::limits::TREE_NODES_MAX;

/// Bits of `decision_type`: `kCategoricalMask`, `kDefaultLeftMask`; the missing type stands above them.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

const KEYS: [&str; 18] = [
    "num_leaves",
    "num_cat",
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "internal_count",
    "leaf_count",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
];

/// Reads the lines after `Tree=number` up to the empty one that ends them.
pub(super) fn read(lines: &mut Lines<'_>, number: usize) -> Result<Tree, FormatError> {
    let mut fields = Fields::new(format!("Tree={number}."));
    loop {
        match lines.next() {
            None => return Err(lines.cut_off("the end of a tree")),
            Some("") => break,
            Some(line) => {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                if KEYS.contains(&key) {
                    lines.check(key)?;
                    fields.insert(key, value)?;
                }
            }
        }
    }
    let leaves = fields.count("num_leaves")?;
    if leaves == 0 || leaves > TREE_NODES_MAX / 2 {
        let most = TREE_NODES_MAX / 2;
        return Err(fields.fault("num_leaves", format!("{leaves} leaves: 1 to {most} are accepted")));
    }
    let mut tree = Tree::default();
    splits(&fields, leaves, &mut tree)?;
    match fields.get("is_linear").map_or("0", str::trim) {
        "0" => {
            let values = fields.numbers::<f64>("leaf_value", leaves)?;
            tree.nodes.extend(values.into_iter().map(|value| Node::Leaf { value }));
        }
        "1" => linear_leaves(&fields, leaves, &mut tree)?,
        other => {
            let other = super::super::document::shortened(other);
            return Err(fields.fault("is_linear", format!("0 or 1 is accepted, not {other:?}")));
        }
    }
    tree.covers = covers(&fields, leaves)?;
    Ok(tree)
}

/// Rows of the training data that reached each split and each leaf, where the file says so.
fn covers(fields: &Fields<'_>, leaves: usize) -> Result<Vec<f64>, FormatError> {
    if leaves == 1 || !fields.has("internal_count") || !fields.has("leaf_count") {
        return Ok(Vec::new());
    }
    let mut covers = fields.numbers::<f64>("internal_count", leaves - 1)?;
    covers.extend(fields.numbers::<f64>("leaf_count", leaves)?);
    Ok(covers)
}

fn splits(fields: &Fields<'_>, leaves: usize, tree: &mut Tree) -> Result<(), FormatError> {
    let count = leaves - 1;
    if count == 0 {
        return Ok(());
    }
    let features = fields.numbers::<u32>("split_feature", count)?;
    let thresholds = fields.numbers::<f64>("threshold", count)?;
    let lefts = fields.numbers::<i64>("left_child", count)?;
    let rights = fields.numbers::<i64>("right_child", count)?;
    let decisions = match fields.has("decision_type") {
        true => fields.numbers::<u8>("decision_type", count)?,
        false => vec![0; count],
    };
    // What is no list of numbers, one for each split, is no list of gains.
    tree.gains = fields.numbers::<f32>("split_gain", count).unwrap_or_default();
    let mut sets = Sets::read(fields)?;
    for index in 0..count {
        let child = |key, child: i64| {
            child_number(child, leaves)
                .ok_or_else(|| fields.fault(&format!("{key}[{index}]"), format!("{child} is no node or leaf")))
        };
        let (left, right) = (child("left_child", lefts[index])?, child("right_child", rights[index])?);
        let (feature, threshold, decision) = (features[index], thresholds[index], decisions[index]);
        let node = if decision & CATEGORICAL == 0 {
            number(feature, threshold, decision, left, right)
        } else {
            let place = sets.take(threshold, &mut tree.categories);
            // Listed codes go left here and right in the ensemble; NaN joins those that are not listed.
            place.map(|(first, count)| Node::Category {
                feature,
                first,
                count,
                missing_left: true,
                left: right,
                right: left,
            })
        };
        tree.nodes.push(node.map_err(|message| {
            let key = if decision & CATEGORICAL == 0 {
                "decision_type"
            } else {
                "threshold"
            };
            fields.fault(&format!("{key}[{index}]"), message)
        })?);
    }
    Ok(())
}

/// `Tree::NumericalDecision`.
fn number(feature: u32, threshold: f64, decision: u8, left: u32, right: u32) -> Result<Node, String> {
    let (missing_left, zero_is_missing) = match decision >> 2 {
        // Nothing is missing: NaN counts as zero, so that where it goes is settled here.
        0 => (0.0 <= threshold, false),
        1 => (decision & DEFAULT_LEFT != 0, true),
        2 => (decision & DEFAULT_LEFT != 0, false),
        _ => return Err(format!("{decision} is no decision type")),
    };
    Ok(Node::Number {
        feature,
        threshold,
        missing_left,
        zero_is_missing,
        left,
        right,
    })
}

/// A node's number from a child entry: splits are 0 and up, leaf `k` is `-k - 1`.
fn child_number(child: i64, leaves: usize) -> Option<u32> {
    let number = match usize::try_from(child) {
        Ok(split) => Some(split).filter(|&split| split < leaves - 1),
        Err(_) => usize::try_from(!child)
            .ok()
            .filter(|&leaf| leaf < leaves)
            .map(|leaf| leaves - 1 + leaf),
    };
    number.and_then(|number| u32::try_from(number).ok())
}

/// The category bit fields of a tree: `cat_boundaries` cuts `cat_threshold` into one for each categorical split.
struct Sets {
    boundaries: Vec<usize>,
    words: Vec<u32>,
    is_taken: Vec<bool>,
}

impl Sets {
    fn read(fields: &Fields<'_>) -> Result<Self, FormatError> {
        let count = match fields.has("num_cat") {
            true => fields.count("num_cat")?,
            false => 0,
        };
        if count == 0 {
            return Ok(Self {
                boundaries: Vec::new(),
                words: Vec::new(),
                is_taken: Vec::new(),
            });
        }
        if count > TREE_NODES_MAX {
            return Err(fields.fault(
                "num_cat",
                format!("{count} are more than the {TREE_NODES_MAX} nodes accepted"),
            ));
        }
        let boundaries = fields.numbers::<usize>("cat_boundaries", count + 1)?;
        let falls = boundaries.windows(2).position(|pair| pair[0] > pair[1]);
        if let Some(index) = falls.or_else(|| (boundaries[0] != 0).then_some(0)) {
            let message = "boundaries begin at 0 and never fall";
            return Err(fields.fault(&format!("cat_boundaries[{index}]"), message));
        }
        Ok(Self {
            words: fields.numbers("cat_threshold", boundaries[count])?,
            boundaries,
            is_taken: vec![false; count],
        })
    }

    /// Appends the codes of the set whose number stands in a node's threshold.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the library casts the threshold to an int; the range is checked first"
    )]
    fn take(&mut self, threshold: f64, categories: &mut Vec<u32>) -> Result<(u32, u32), String> {
        let sets = self.is_taken.len();
        if !(threshold >= 0.0 && threshold < sets as f64) {
            return Err(format!("{threshold} is no number of one of {sets} category sets"));
        }
        let set = threshold as usize;
        // Sets that repeat could claim the same long one for every node.
        if std::mem::replace(&mut self.is_taken[set], true) {
            return Err(format!("category set {set} belongs to two nodes"));
        }
        let words = &self.words[self.boundaries[set]..self.boundaries[set + 1]];
        let count: usize = words.iter().map(|word| word.count_ones() as usize).sum();
        let first = categories.len();
        categories.reserve(count);
        for (place, &word) in words.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let code = place * 32 + left.trailing_zeros() as usize;
                categories.push(u32::try_from(code).map_err(|_| "a category code beyond 32 bits".to_owned())?);
                left &= left - 1;
            }
        }
        let narrow = |count: usize| u32::try_from(count).map_err(|_| "more codes than 32 bits number".to_owned());
        Ok((narrow(first)?, narrow(count)?))
    }
}

/// Leaves of `linear_tree`: constants, and coefficients of the columns a leaf names.
fn linear_leaves(fields: &Fields<'_>, leaves: usize, tree: &mut Tree) -> Result<(), FormatError> {
    let values = fields.numbers::<f64>("leaf_value", leaves)?;
    let constants = fields.numbers::<f64>("leaf_const", leaves)?;
    let counts = match fields.has("num_features") {
        true => fields.numbers::<u32>("num_features", leaves)?,
        false => vec![0; leaves],
    };
    let total = counts.iter().map(|&count| u64::from(count)).sum::<u64>();
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    if total > 0 {
        let features = fields.numbers::<u32>("leaf_features", total)?;
        let coefficients = fields.numbers::<f64>("leaf_coeff", total)?;
        let term = |(feature, coefficient)| Term { feature, coefficient };
        tree.terms = features.into_iter().zip(coefficients).map(term).collect();
    }
    let mut first = 0;
    for ((value, constant), count) in values.into_iter().zip(constants).zip(counts) {
        tree.nodes.push(Node::Linear {
            value,
            constant,
            first,
            count,
        });
        first = first.saturating_add(count);
    }
    Ok(())
}
