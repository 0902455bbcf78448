//! Shapes of JSON and of LightGBM's text.

use crate::topology::{Topology, joined, repeated};
use crate::{FILE_BYTES, Shape, Verdict};
use Verdict::{Model, Refused};

const TREES_MAX: usize = 131_072;

/// A list of one thing, in an object that looks like a model's.
fn listed(thing: &str) -> Vec<u8> {
    let inner = thing.repeat(FILE_BYTES / thing.len() - 8);
    format!("{{\"learner\":[{}]}}", inner.trim_end_matches(',')).into_bytes()
}

fn keys(value: &str) -> Vec<u8> {
    let (_, inner) = repeated(|key| format!("\"{key:x}\":{value},"), usize::MAX, FILE_BYTES);
    format!("{{\"learner\":{{{}}}}}", inner.trim_end_matches(',')).into_bytes()
}

pub(crate) const NO_MODELS: [Shape; 10] = [
    ("empty-lists.json", Refused, || listed("[],")),
    ("empty-objects.json", Refused, || listed("{},")),
    ("nulls.json", Refused, || listed("null,")),
    ("strings.json", Refused, || listed("\"\",")),
    ("ints.json", Refused, || listed("0,")),
    ("lists-of-ints.json", Refused, || listed("[0],")),
    ("objects.json", Refused, || listed("{\"a\":0},")),
    ("ints-then-null.json", Refused, || {
        format!("{{\"learner\":[{}null]}}", "0,".repeat(FILE_BYTES / 2 - 20)).into_bytes()
    }),
    ("keys.json", Refused, || keys("0")),
    ("keys-of-lists.json", Refused, || keys("[]")),
];

/// An XGBoost model around its trees.
fn xgboost_around(head: &str, count: usize, trees: &str, features: usize) -> Vec<u8> {
    format!(
        "{{\"learner\":{{\"attributes\":{{}},{head}\"gradient_booster\":{{\"model\":{{\"gbtree_model_param\":{{\
         \"num_parallel_tree\":\"1\",\"num_trees\":\"{count}\"}},\"iteration_indptr\":[0,{count}],\"tree_info\":[{}],\
         \"trees\":[{}]}},\"name\":\"gbtree\"}},\"learner_model_param\":{{\"base_score\":\"5E-1\",\"num_class\":\"0\",\
         \"num_feature\":\"{features}\",\"num_target\":\"1\"}},\"objective\":{{\"name\":\"reg:squarederror\"}}}},\
         \"version\":[3,0,0]}}",
        joined((0..count).map(|_| 0), ","),
        trees.trim_end_matches(',')
    )
    .into_bytes()
}

/// A tree whose thresholds are what `condition` says of a node.
fn xgboost_tree(id: usize, tree: &Topology, condition: impl Fn(usize) -> usize) -> String {
    let count = tree.len();
    format!(
        "{{\"id\":{id},\"tree_param\":{{\"num_nodes\":\"{count}\"}},\"left_children\":[{}],\"right_children\":[{}],\
         \"parents\":[{}],\"split_indices\":[{}],\"split_conditions\":[{}],\"default_left\":[{}]}},",
        joined(&tree.lefts, ","),
        joined(&tree.rights, ","),
        joined(&tree.parents, ","),
        joined((0..count).map(|_| 0), ","),
        joined((0..count).map(condition), ","),
        joined((0..count).map(|_| 0), ","),
    )
}

fn xgboost_of(tree: &Topology, condition: impl Fn(usize) -> usize) -> Vec<u8> {
    let most = FILE_BYTES - 4_000;
    let (count, trees) = repeated(|id| xgboost_tree(id, tree, &condition) + "  ", TREES_MAX, most);
    let trees = trees.replace("  ", "");
    xgboost_around("", count, &trees, 1)
}

/// The largest chain that fits.
fn xgboost_one(tree: impl Fn(usize) -> Topology) -> Vec<u8> {
    let small = xgboost_tree(0, &tree(10_000), |node| node).len();
    let splits = FILE_BYTES / (small / 10_000 + 8);
    xgboost_around("", 1, &xgboost_tree(0, &tree(splits), |node| node), 1)
}

pub(crate) const XGBOOST: [Shape; 8] = [
    ("leaves.json", Model, || xgboost_of(&Topology::full(0), |_| 1)),
    ("stumps.json", Model, || xgboost_of(&Topology::full(1), |_| 1)),
    ("depth-6.json", Model, || xgboost_of(&Topology::full(6), |node| node)),
    ("depth-8.json", Model, || xgboost_of(&Topology::full(8), |node| node)),
    ("chains.json", Model, || xgboost_of(&Topology::chain(8), |node| node)),
    ("one-chain.json", Model, || xgboost_one(Topology::chain)),
    ("one-full.json", Model, || {
        xgboost_around("", 1, &xgboost_tree(0, &Topology::full(17), |node| node), 1)
    }),
    ("wide.json", Model, || {
        let names = joined((0..65_536).map(|column| format!("\"{column:0>95}\"")), ",");
        let types = joined((0..65_536).map(|_| "\"float\""), ",");
        let head = format!("\"feature_names\":[{names}],\"feature_types\":[{types}],");
        let tree = xgboost_tree(0, &Topology::full(6), |node| node);
        xgboost_around(&head, 1, &tree, 65_536)
    }),
];

fn lightgbm_around(trees: &str, tail: &str, features: usize) -> Vec<u8> {
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={}\nobjective=regression\n\
         feature_names={}\nfeature_infos={}\n\n{trees}end of trees\n{tail}",
        features - 1,
        joined((0..features).map(|column| format!("f{column}")), " "),
        joined((0..features).map(|_| "none"), " "),
    )
    .into_bytes()
}

/// A block; every number as short as it can be.
fn lightgbm_tree(number: usize, tree: &Topology, condition: impl Fn(usize) -> usize) -> String {
    let splits: Vec<usize> = (0..tree.len()).filter(|&node| !tree.is_leaf(node)).collect();
    let mut numbers = vec![0i64; tree.len()];
    let (mut split, mut leaf) = (0, -1);
    for (node, number) in numbers.iter_mut().enumerate() {
        let next = if tree.is_leaf(node) { &mut leaf } else { &mut split };
        *number = *next;
        *next += if *next < 0 { -1 } else { 1 };
    }
    let child = |child: i32| numbers[usize::try_from(child).expect("a split's child")];
    let leaves = splits.len() + 1;
    let mut text = format!("Tree={number}\nnum_leaves={leaves}\n");
    if !splits.is_empty() {
        text += &format!(
            "split_feature={}\nthreshold={}\nleft_child={}\nright_child={}\n",
            joined(splits.iter().map(|_| 0), " "),
            joined(splits.iter().map(|&node| condition(node)), " "),
            joined(splits.iter().map(|&node| child(tree.lefts[node])), " "),
            joined(splits.iter().map(|&node| child(tree.rights[node])), " "),
        );
    }
    text + &format!("leaf_value={}\n\n", joined((0..leaves).map(|_| 0), " "))
}

fn lightgbm_of(trees: &[Topology], condition: impl Fn(usize) -> usize) -> Vec<u8> {
    let tree = |number: usize| lightgbm_tree(number, &trees[number % trees.len()], &condition);
    lightgbm_around(&repeated(tree, TREES_MAX, FILE_BYTES - 4_000).1, "", 1)
}

/// One tree that is full among many that are leaves.
fn uneven(period: usize, depth: usize) -> Vec<Topology> {
    let leaves = (1..period).map(|_| Topology::full(0));
    std::iter::once(Topology::full(depth)).chain(leaves).collect()
}

/// A tree of stumps whose category sets hold every code of their words.
fn lightgbm_categories(words: usize) -> String {
    format!(
        "num_leaves=2\nnum_cat=1\nsplit_feature=0\nthreshold=0\ndecision_type=1\nleft_child=-1\nright_child=-2\n\
         leaf_value=0 1\ncat_boundaries=0 {words}\ncat_threshold={}\n\n",
        joined((0..words).map(|_| u32::MAX), " ")
    )
}

pub(crate) const LIGHTGBM: [Shape; 9] = [
    ("leaves.txt", Model, || lightgbm_of(&[Topology::full(0)], |_| 0)),
    ("stumps.txt", Model, || lightgbm_of(&[Topology::full(1)], |_| 0)),
    ("depth-6.txt", Model, || lightgbm_of(&[Topology::full(6)], |node| node)),
    ("uneven-64.txt", Model, || lightgbm_of(&uneven(64, 8), |node| node)),
    ("uneven-256.txt", Model, || lightgbm_of(&uneven(256, 7), |_| 0)),
    ("one-chain.txt", Model, || {
        lightgbm_around(&lightgbm_tree(0, &Topology::chain(300_000), |node| node), "", 1)
    }),
    ("one-full.txt", Model, || {
        lightgbm_around(&lightgbm_tree(0, &Topology::full(17), |node| node), "", 1)
    }),
    ("categories.txt", Model, || {
        let tree = |number| format!("Tree={number}\n{}", lightgbm_categories(1_000 + number % 7));
        lightgbm_around(&repeated(tree, TREES_MAX, FILE_BYTES - 4_000).1, "", 1)
    }),
    ("names.txt", Model, || {
        let names = joined((0..850_000).map(|code| format!("\"{code:x}\"")), ",");
        let tail = format!("\npandas_categorical:[[{names}]]\n");
        lightgbm_around(&lightgbm_tree(0, &Topology::full(1), |_| 0), &tail, 1)
    }),
];

fn catboost_around(trees: &str, key: &str) -> Vec<u8> {
    format!(
        "{{\"features_info\":{{\"float_features\":[{{\"borders\":[0],\"feature_index\":0,\"flat_feature_index\":0,\
         \"has_nans\":false,\"nan_value_treatment\":\"AsIs\"}}]}},\"model_info\":{{\"params\":{{\"loss_function\":{{\
         \"type\":\"RMSE\"}}}}}},\"{key}\":[{}],\"scale_and_bias\":[1,[0]]}}",
        trees.trim_end_matches(',')
    )
    .into_bytes()
}

/// Trees of one split a level, with the leaves that `value` says.
fn oblivious(depth: usize, value: fn(usize) -> usize) -> Vec<u8> {
    let splits = joined((0..depth).map(|_| "{\"border\":0,\"float_feature_index\":0}"), ",");
    let values = joined((0..1usize << depth).map(value), ",");
    let tree = |_| format!("{{\"leaf_values\":[{values}],\"splits\":[{splits}]}},");
    catboost_around(&repeated(tree, TREES_MAX, FILE_BYTES - 1_000).1, "oblivious_trees")
}

fn nested(depth: usize) -> String {
    match depth {
        0 => "{\"value\":0}".into(),
        _ => {
            let child = nested(depth - 1);
            format!("{{\"split\":{{\"border\":0,\"float_feature_index\":0}},\"left\":{child},\"right\":{child}}}")
        }
    }
}

pub(crate) const CATBOOST: [Shape; 6] = [
    ("oblivious-3.json", Model, || oblivious(3, |_| 0)),
    ("oblivious-8.json", Model, || oblivious(8, |leaf| 1_000_000 + leaf % 2)),
    ("oblivious-16-zeros.json", Model, || oblivious(16, |_| 0)),
    ("oblivious-16-dense.json", Refused, || oblivious(16, |leaf| leaf % 2)),
    ("oblivious-16.json", Model, || {
        oblivious(16, |leaf| 1_000_000 + leaf % 2)
    }),
    ("nested.json", Model, || {
        let tree = nested(10) + ",";
        catboost_around(&repeated(|_| tree.clone(), TREES_MAX, FILE_BYTES - 1_000).1, "trees")
    }),
];
