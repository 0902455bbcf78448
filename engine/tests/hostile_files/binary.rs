//! Shapes of UBJSON, Treelite checkpoints and ONNX.

use crate::topology::Topology;
use crate::{FILE_BYTES, Shape, Verdict};
use Verdict::{Model, Refused};

const TREES_MAX: usize = 131_072;

/// Trees one after the other, as many as fit into so many bytes.
fn repeated(tree: &[u8], bytes_max: usize) -> (usize, Vec<u8>) {
    let count = (bytes_max / tree.len()).min(TREES_MAX);
    (count, tree.repeat(count))
}

mod ubjson {
    //! Writes UBJSON with the shortest lengths there are.

    pub(super) fn length(length: usize) -> Vec<u8> {
        match i8::try_from(length) {
            Ok(short) => vec![b'i', short.to_be_bytes()[0]],
            Err(_) => [b"l".as_slice(), &u32::try_from(length).expect("a length").to_be_bytes()].concat(),
        }
    }

    pub(super) fn text(text: &str) -> Vec<u8> {
        [b"S".to_vec(), length(text.len()), text.as_bytes().to_vec()].concat()
    }

    /// An integer array of the smallest type that holds all.
    pub(super) fn ints(values: &[i32]) -> Vec<u8> {
        let is_small = values.iter().all(|&value| i8::try_from(value).is_ok());
        let elements: Vec<u8> = match is_small {
            true => values
                .iter()
                .flat_map(|value| value.to_be_bytes().into_iter().skip(3))
                .collect(),
            false => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
        };
        let kind = if is_small { b'i' } else { b'l' };
        [vec![b'[', b'$', kind, b'#'], length(values.len()), elements].concat()
    }

    pub(super) fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
        let elements: Vec<u8> = values.flat_map(f32::to_be_bytes).collect();
        [b"[$d#".to_vec(), length(elements.len() / 4), elements].concat()
    }

    pub(super) fn object(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (key, value) in fields {
            out.extend(length(key.len()));
            out.extend(key.as_bytes());
            out.extend(value);
        }
        out.push(b'}');
        out
    }
}

/// A document that holds an array of one thing, without a count.
fn listed(thing: &[u8]) -> Vec<u8> {
    let inner = thing.repeat(FILE_BYTES / thing.len() - 8);
    ubjson::object(&[("learner", [b"[".to_vec(), inner, b"]".to_vec()].concat())])
}

fn xgboost_tree(id: usize, tree: &Topology) -> Vec<u8> {
    let count = tree.len();
    let zeros = vec![0; count];
    let parents: Vec<i32> = std::iter::once(&0).chain(&tree.parents[1..]).copied().collect();
    let conditions = (0..count).map(|node| f32::from(u16::try_from(node % 60_000).expect("it is small")));
    ubjson::object(&[
        (
            "id",
            [b"l".as_slice(), &u32::try_from(id).expect("an id").to_be_bytes()].concat(),
        ),
        (
            "tree_param",
            ubjson::object(&[("num_nodes", ubjson::text(&count.to_string()))]),
        ),
        ("left_children", ubjson::ints(&tree.lefts)),
        ("right_children", ubjson::ints(&tree.rights)),
        ("parents", ubjson::ints(&parents)),
        ("split_indices", ubjson::ints(&zeros)),
        ("split_conditions", ubjson::floats(conditions)),
        ("default_left", ubjson::ints(&zeros)),
    ])
}

fn xgboost(tree: &Topology) -> Vec<u8> {
    let count = ((FILE_BYTES - 2_000) / (xgboost_tree(0, tree).len() + 1)).clamp(1, TREES_MAX);
    let trees: Vec<u8> = (0..count).flat_map(|id| xgboost_tree(id, tree)).collect();
    let count_text = ubjson::text(&count.to_string());
    let model = ubjson::object(&[
        (
            "gbtree_model_param",
            ubjson::object(&[("num_parallel_tree", ubjson::text("1")), ("num_trees", count_text)]),
        ),
        (
            "iteration_indptr",
            ubjson::ints(&[0, i32::try_from(count).expect("a count")]),
        ),
        ("tree_info", ubjson::ints(&vec![0; count])),
        ("trees", [b"[".to_vec(), trees, b"]".to_vec()].concat()),
    ]);
    let param = ["base_score", "num_class", "num_feature", "num_target"]
        .into_iter()
        .zip(["5E-1", "0", "1", "1"].map(ubjson::text))
        .collect::<Vec<_>>();
    let learner = ubjson::object(&[
        (
            "gradient_booster",
            ubjson::object(&[("name", ubjson::text("gbtree")), ("model", model)]),
        ),
        ("learner_model_param", ubjson::object(&param)),
        (
            "objective",
            ubjson::object(&[("name", ubjson::text("reg:squarederror"))]),
        ),
    ]);
    ubjson::object(&[("learner", learner)])
}

pub(crate) const UBJSON: [Shape; 10] = [
    ("nulls.ubj", Refused, || listed(b"Z")),
    ("strings.ubj", Refused, || listed(b"Si\0")),
    ("empty-lists.ubj", Refused, || listed(b"[]")),
    ("empty-objects.ubj", Refused, || listed(b"{}")),
    ("typed-lists.ubj", Refused, || listed(b"[$d#i\0")),
    ("bytes.ubj", Refused, || {
        let bytes = [b"[$i#".to_vec(), ubjson::length(FILE_BYTES), vec![0; FILE_BYTES]].concat();
        ubjson::object(&[("learner", bytes)])
    }),
    ("leaves.ubj", Model, || xgboost(&Topology::full(0))),
    ("depth-6.ubj", Model, || xgboost(&Topology::full(6))),
    ("chains.ubj", Model, || xgboost(&Topology::chain(8))),
    ("one-full.ubj", Model, || xgboost(&Topology::full(17))),
];

/// One array of a checkpoint: its length and its elements.
fn array(count: usize, element: &[u8]) -> Vec<u8> {
    [&(count as u64).to_le_bytes(), element.repeat(count).as_slice()].concat()
}

fn treelite_tree(tree: &Topology, leaf_values: usize) -> Vec<u8> {
    let count = tree.len();
    let integers = |values: &[i32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [&(count as u64).to_le_bytes(), bytes.as_slice()].concat()
    };
    let kinds: Vec<u8> = (0..count).map(|node| u8::from(!tree.is_leaf(node))).collect();
    let thresholds: Vec<u8> = (0..count)
        .flat_map(|node| f64::from(u32::try_from(node).expect("few nodes")).to_le_bytes())
        .collect();
    let mut end = 0u64;
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for node in 0..count {
        begins.extend(end.to_le_bytes());
        end += if tree.is_leaf(node) { leaf_values as u64 } else { 0 };
        ends.extend(end.to_le_bytes());
    }
    let sized = |bytes: Vec<u8>| [(count as u64).to_le_bytes().to_vec(), bytes].concat();
    let empty = 0u64.to_le_bytes().to_vec();
    [
        i32::try_from(count).expect("few nodes").to_le_bytes().to_vec(),
        vec![0],
        sized(kinds),
        integers(&tree.lefts),
        integers(&tree.rights),
        integers(&vec![0; count]),
        array(count, &[0]),
        array(count, &1f64.to_le_bytes()),
        sized(thresholds),
        array(count, &[2]),
        array(count, &[0]),
        array(usize::try_from(end).expect("few values"), &1f64.to_le_bytes()),
        sized(begins),
        sized(ends),
        empty.clone(),
        array(count, &0u64.to_le_bytes()),
        array(count, &0u64.to_le_bytes()),
        empty.repeat(6),
        vec![0; 8],
    ]
    .concat()
}

/// A checkpoint of doubles. With `targets` above one, each tree has leaves for one of them alone.
fn treelite(tree: &Topology, targets: usize) -> Vec<u8> {
    let one = treelite_tree(tree, usize::from(targets > 1));
    let (count, trees) = repeated(&[one.as_slice(), &[0; 8]].concat(), FILE_BYTES - 70_000);
    let trees: Vec<u8> = trees
        .chunks(one.len() + 8)
        .flat_map(|tree| &tree[..one.len()])
        .copied()
        .collect();
    let int = |value: usize| i32::try_from(value).expect("a small number").to_le_bytes();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    [
        int(4).to_vec(),
        int(6).to_vec(),
        int(0).to_vec(),
        vec![3, 3],
        (count as u64).to_le_bytes().to_vec(),
        int(1).to_vec(),
        vec![1, 0],
        int(targets).to_vec(),
        array(targets, &int(1)),
        array(2, &int(1)),
        array(count, &int(0)),
        // Class -1: all classes of the target, so that a leaf is a vector.
        array(count, &if targets > 1 { (-1i32).to_le_bytes() } else { int(0) }),
        text("identity"),
        1f32.to_le_bytes().to_vec(),
        1f32.to_le_bytes().to_vec(),
        array(targets, &0f64.to_le_bytes()),
        text(""),
        int(0).to_vec(),
        trees,
    ]
    .concat()
}

pub(crate) const TREELITE: [Shape; 4] = [
    ("leaves.tl", Model, || treelite(&Topology::full(0), 1)),
    ("depth-6.tl", Model, || treelite(&Topology::full(6), 1)),
    ("one-chain.tl", Model, || treelite(&Topology::chain(50_000), 1)),
    ("widened.tl", Refused, || treelite(&Topology::full(6), 4_096)),
];

mod protobuf {
    //! Fields of a message.

    pub(super) fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let byte = u8::try_from(value & 0x7f).expect("seven bits");
            value >>= 7;
            if value == 0 {
                out.push(byte);
                return out;
            }
            out.push(byte | 0x80);
        }
    }

    pub(super) fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    pub(super) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    pub(super) fn ints(name: &str, values: impl Iterator<Item = u64>) -> Vec<u8> {
        let packed: Vec<u8> = values.flat_map(varint).collect();
        bytes(
            5,
            &[bytes(1, name.as_bytes()), bytes(8, &packed), number(20, 7)].concat(),
        )
    }

    pub(super) fn floats(name: &str, values: impl Iterator<Item = f32>) -> Vec<u8> {
        let packed: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        bytes(
            5,
            &[bytes(1, name.as_bytes()), bytes(7, &packed), number(20, 6)].concat(),
        )
    }

    pub(super) fn texts<'t>(name: &str, values: impl Iterator<Item = &'t str>) -> Vec<u8> {
        let strings: Vec<u8> = values.flat_map(|text| bytes(9, text.as_bytes())).collect();
        bytes(5, &[bytes(1, name.as_bytes()), strings, number(20, 8)].concat())
    }
}

/// A model around the nodes of its graph.
fn onnx_around(nodes: &[u8]) -> Vec<u8> {
    use protobuf::{bytes, number};
    let opset = [bytes(1, b"ai.onnx.ml"), number(2, 3)].concat();
    let shape = bytes(2, &[bytes(1, &number(1, 1)), bytes(1, &number(1, 1))].concat());
    let input_type = bytes(1, &[number(1, 1), shape].concat());
    let input = bytes(11, &[bytes(1, b"X"), bytes(2, &input_type)].concat());
    let graph = [nodes.to_vec(), input].concat();
    [number(1, 8), bytes(2, b"x"), bytes(7, &graph), bytes(8, &opset)].concat()
}

/// A regressor or a classifier of so many trees with so many outputs; every leaf has a weight for one of them, and in
/// turn.
fn onnx(tree: &Topology, outputs: u64) -> Vec<u8> {
    use protobuf::{bytes, floats, ints, texts};
    let a_node = if tree.len() > 1_000 { 24 } else { 19 };
    let count = ((FILE_BYTES - 20_000) / (tree.len() * a_node + tree.len().div_ceil(2) * 9)).clamp(1, TREES_MAX);
    let nodes = || (0..count).flat_map(|number| (0..tree.len()).map(move |node| (number as u64, node)));
    let leaves = || nodes().filter(|&(_, node)| tree.is_leaf(node));
    let child = |child: i32| u64::try_from(child).unwrap_or(0);
    let attributes = [
        ints("nodes_treeids", nodes().map(|(number, _)| number)),
        ints("nodes_nodeids", nodes().map(|(_, node)| node as u64)),
        ints("nodes_featureids", nodes().map(|_| 0)),
        floats(
            "nodes_values",
            nodes().map(|(_, node)| f32::from(u16::try_from(node % 60_000).expect("small"))),
        ),
        texts(
            "nodes_modes",
            nodes().map(|(_, node)| if tree.is_leaf(node) { "LEAF" } else { "BRANCH_LT" }),
        ),
        ints("nodes_truenodeids", nodes().map(|(_, node)| child(tree.lefts[node]))),
        ints("nodes_falsenodeids", nodes().map(|(_, node)| child(tree.rights[node]))),
        ints("target_treeids", leaves().map(|(number, _)| number)),
        ints("target_nodeids", leaves().map(|(_, node)| node as u64)),
        ints("target_ids", leaves().map(|(_, node)| node as u64 % outputs)),
        floats("target_weights", leaves().map(|_| 1.0)),
        bytes(
            5,
            &[
                bytes(1, b"n_targets"),
                protobuf::number(3, outputs),
                protobuf::number(20, 2),
            ]
            .concat(),
        ),
    ]
    .concat();
    let node = [
        bytes(1, b"X"),
        bytes(2, b"Y"),
        bytes(4, b"TreeEnsembleRegressor"),
        bytes(7, b"ai.onnx.ml"),
        attributes,
    ]
    .concat();
    onnx_around(&bytes(1, &node))
}

pub(crate) const ONNX: [Shape; 8] = [
    ("leaves.onnx", Model, || onnx(&Topology::full(0), 1)),
    ("depth-6.onnx", Model, || onnx(&Topology::full(6), 1)),
    ("one-chain.onnx", Model, || onnx(&Topology::chain(100_000), 1)),
    ("widened.onnx", Refused, || onnx(&Topology::full(6), 4_096)),
    ("empty-nodes.onnx", Refused, || {
        onnx_around(&protobuf::bytes(1, b"").repeat(FILE_BYTES / 2 - 100))
    }),
    ("identities.onnx", Refused, || {
        let identity = [
            protobuf::bytes(1, b"X"),
            protobuf::bytes(2, b"Y"),
            protobuf::bytes(4, b"Identity"),
        ]
        .concat();
        onnx_around(&protobuf::bytes(1, &identity).repeat(FILE_BYTES / (identity.len() + 2) - 10))
    }),
    ("empty-strings.onnx", Refused, || {
        let strings = protobuf::bytes(9, b"").repeat(FILE_BYTES / 2 - 200);
        let attribute = protobuf::bytes(5, &[protobuf::bytes(1, b"nodes_modes"), strings].concat());
        let node = [protobuf::bytes(4, b"TreeEnsembleRegressor"), attribute].concat();
        onnx_around(&protobuf::bytes(1, &node))
    }),
    ("zeros.onnx", Refused, || {
        let attribute = protobuf::ints("nodes_nodeids", std::iter::repeat_n(0, FILE_BYTES - 1_000));
        let node = [protobuf::bytes(4, b"TreeEnsembleRegressor"), attribute].concat();
        onnx_around(&protobuf::bytes(1, &node))
    }),
];
