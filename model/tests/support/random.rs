//! Random ensembles and the rows that are hard for them. Everything follows from a seed.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "the lint spares test functions but not what they call; numbers here are small"
)]

use quintile_model::ensemble::{Codes, Comparison, EnsembleParts, Finish, Input, Node, Term, Tree};
use quintile_model::kernel::real::Real;
use quintile_model::objective::Objective;
use quintile_model::{Ensemble, FeatureKind, Precision, Schema};

/// Sebastiano Vigna's splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// −1 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// What an ensemble is to look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    pub(crate) precision: Precision,
    pub(crate) trees: usize,
    pub(crate) features: usize,
    pub(crate) depth: u32,
    /// Leaves of a tree, which then has any shape within the depth.
    pub(crate) leaves: usize,
    /// Distinct thresholds of a feature.
    pub(crate) thresholds: usize,
    /// Where NaN goes.
    pub(crate) missing: Missing,
    pub(crate) outputs: usize,
    /// One node in so many looks up a category; 0 for none.
    pub(crate) category_one_in: usize,
    pub(crate) zero_is_missing: bool,
    pub(crate) leaf: LeafOf,
    pub(crate) cover: Cover,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Left,
    Right,
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafOf {
    Number,
    Vector,
    #[allow(dead_code, reason = "some tests have no use for some")]
    Linear,
}

/// What the trees say of the training data that reached their nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "some tests have no use for some")]
pub(crate) enum Cover {
    None,
    Some,
    OftenZero,
    Negative,
    Infinite,
    TooFew,
}

impl Cover {
    fn covers(self, tree: &Tree, random: &mut Random) -> Vec<f64> {
        let mut covers: Vec<f64> = tree.nodes.iter().map(|_| random.unit().abs() * 1e3).collect();
        match self {
            Self::None => covers.clear(),
            Self::Some => {}
            Self::OftenZero => covers
                .iter_mut()
                .filter(|_| random.one_in(3))
                .for_each(|cover| *cover = 0.0),
            Self::Negative => covers[0] = -1e-3,
            Self::Infinite => covers[0] = f64::INFINITY,
            Self::TooFew => covers.truncate(1),
        }
        covers
    }
}

impl Recipe {
    pub(crate) const PLAIN: Self = Self {
        seed: 1,
        precision: Precision::F32,
        trees: 100,
        features: 20,
        depth: 6,
        leaves: 64,
        thresholds: 200,
        missing: Missing::Either,
        outputs: 1,
        category_one_in: 0,
        zero_is_missing: false,
        leaf: LeafOf::Number,
        cover: Cover::None,
    };

    pub(crate) fn ensemble(&self) -> Sample {
        let mut random = Random(self.seed);
        let pools: Vec<Vec<f64>> = (0..self.features).map(|_| self.pool(&mut random)).collect();
        let trees: Vec<_> = (0..self.trees)
            .map(|number| self.tree(number, &pools, &mut random))
            .collect();
        let kind = if self.category_one_in > 0 {
            FeatureKind::Category
        } else {
            FeatureKind::Number
        };
        let names = (0..self.features).map(|column| (format!("f{column}"), kind)).collect();
        let (comparison, codes) = match self.precision {
            Precision::F32 => (Comparison::Less, Codes::Below24Bits),
            Precision::F64 => (Comparison::LessOrEqual, Codes::Int),
        };
        let parts = EnsembleParts {
            format: "random",
            written_by: None,
            precision: self.precision,
            comparison,
            input: Input::Rounded,
            codes,
            schema: Schema::try_new(names).unwrap(),
            objective: Objective::xgboost("reg:squarederror"),
            base_margins: (0..self.outputs).map(|_| self.round(random.unit())).collect(),
            iteration_ends: if trees.is_empty() {
                vec![]
            } else {
                vec![trees.len() as u32]
            },
            trees,
            finish: Finish::Nothing,
            linear: None,
            best_iteration: None,
            notes: vec![],
        };
        Sample {
            ensemble: Ensemble::try_new(parts).unwrap(),
            pools,
        }
    }

    fn round(&self, value: f64) -> f64 {
        match self.precision {
            Precision::F32 => f64::from(value as f32),
            Precision::F64 => value,
        }
    }

    fn pool(&self, random: &mut Random) -> Vec<f64> {
        let special = [
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e-45,
            -1e-45,
            3.0,
            f64::from(f32::MAX),
        ];
        let any = |_| match random.below(12) {
            0 => special[random.below(special.len())],
            1 => random.below(9) as f64 - 4.0,
            _ => random.unit() * 8.0,
        };
        (0..self.thresholds).map(any).map(|value| self.round(value)).collect()
    }

    fn tree(&self, number: usize, pools: &[Vec<f64>], random: &mut Random) -> Tree {
        let mut tree = Tree {
            output: if self.leaf == LeafOf::Vector {
                0
            } else {
                (number % self.outputs) as u32
            },
            ..Tree::default()
        };
        // Which trees are small differs, so that packs hold trees of different shapes.
        let leaves = if random.one_in(9) {
            1 + random.below(self.leaves)
        } else {
            self.leaves
        };
        let mut open = vec![(0u32, 0u32)];
        tree.nodes.push(Node::Removed);
        let mut count = 1;
        while count < leaves && !open.is_empty() {
            let (place, depth) = open.swap_remove(random.below(open.len()));
            if depth == self.depth {
                let leaf = self.leaf(&mut tree, random);
                tree.nodes[place as usize] = leaf;
                continue;
            }
            let left = tree.nodes.len() as u32;
            tree.nodes[place as usize] = self.split(&mut tree, pools, left, random);
            tree.nodes.extend([Node::Removed, Node::Removed]);
            open.extend([(left, depth + 1), (left + 1, depth + 1)]);
            count += 1;
        }
        for (place, _) in open {
            let leaf = self.leaf(&mut tree, random);
            tree.nodes[place as usize] = leaf;
        }
        tree.covers = self.cover.covers(&tree, random);
        tree
    }

    fn split(&self, tree: &mut Tree, pools: &[Vec<f64>], left: u32, random: &mut Random) -> Node {
        let column = random.below(self.features);
        let missing_left = match self.missing {
            Missing::Left => true,
            Missing::Right => false,
            Missing::Either => random.one_in(2),
        };
        let (left, right) = if random.one_in(2) {
            (left, left + 1)
        } else {
            (left + 1, left)
        };
        if self.category_one_in > 0 && random.one_in(self.category_one_in) {
            let first = tree.categories.len() as u32;
            let last = [7, 70, 3_000][random.below(3)];
            let mut codes: Vec<u32> = (0..random.below(6)).map(|_| random.below(last) as u32).collect();
            codes.sort_unstable();
            codes.dedup();
            tree.categories.extend(&codes);
            return Node::Category {
                feature: column as u32,
                first,
                count: codes.len() as u32,
                missing_left,
                left,
                right,
            };
        }
        Node::Number {
            feature: column as u32,
            threshold: pools[column][random.below(self.thresholds)],
            missing_left,
            zero_is_missing: self.zero_is_missing && column.is_multiple_of(2),
            left,
            right,
        }
    }

    fn leaf(&self, tree: &mut Tree, random: &mut Random) -> Node {
        let mut value = || self.round(random.unit() * 3.0);
        match self.leaf {
            LeafOf::Number => Node::Leaf { value: value() },
            LeafOf::Vector => {
                let first = tree.vectors.len() as u32;
                tree.vectors.extend((0..self.outputs).map(|_| value()));
                Node::Vector { first }
            }
            LeafOf::Linear => {
                let first = tree.terms.len() as u32;
                let (constant, coefficient) = (value(), value());
                let feature = (first as usize % self.features) as u32;
                tree.terms.push(Term { feature, coefficient });
                Node::Linear {
                    value: value(),
                    constant,
                    first,
                    count: 1,
                }
            }
        }
    }
}

/// An ensemble and the thresholds that its rows should lie on.
pub(crate) struct Sample {
    pub(crate) ensemble: Ensemble,
    pools: Vec<Vec<f64>>,
}

impl Sample {
    /// Rows whose values lie on thresholds and one unit beside them, are missing, infinite, denormal, zeros of both
    /// signs or small integers. The first three are all NaN, all infinite and all zero.
    pub(crate) fn rows<T: Real + Neighbour>(&self, count: usize, random: &mut Random) -> Vec<Vec<T>> {
        let row = |number: usize, random: &mut Random| {
            let missing_one_in = [2, 10, 0][random.below(3)];
            let value = |pool: &Vec<f64>| match number {
                0 => T::NAN,
                1 => T::narrow(f64::INFINITY),
                2 => T::ZERO,
                _ if missing_one_in > 0 && random.one_in(missing_one_in) => T::NAN,
                _ => hard(pool, random),
            };
            self.pools.iter().map(value).collect()
        };
        (0..count).map(|number| row(number, random)).collect()
    }
}

fn hard<T: Real + Neighbour>(pool: &[f64], random: &mut Random) -> T {
    let threshold = T::narrow(pool[random.below(pool.len())]);
    match random.below(12) {
        0..3 => threshold,
        3..5 => threshold.up(),
        5..7 => threshold.down(),
        7 => T::narrow([f64::NEG_INFINITY, f64::INFINITY, 1e300, -0.0, 0.0][random.below(5)]),
        8 => T::ZERO.up(),
        9 => T::ZERO.down(),
        10 => T::narrow(random.below(80) as f64 + [0.0, 0.5, -3.0][random.below(3)]),
        _ => T::narrow(random.unit() * 9.0),
    }
}

/// The numbers one unit in the last place beside.
pub(crate) trait Neighbour {
    fn up(self) -> Self;
    fn down(self) -> Self;
}

impl Neighbour for f32 {
    fn up(self) -> Self {
        self.next_up()
    }
    fn down(self) -> Self {
        self.next_down()
    }
}

impl Neighbour for f64 {
    fn up(self) -> Self {
        self.next_up()
    }
    fn down(self) -> Self {
        self.next_down()
    }
}
