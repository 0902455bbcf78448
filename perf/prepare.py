"""Brings the trained models into the form that each engine takes, and writes the plan of the run.

Called by `perf/kernels` after `train.py`. What exists is kept: compiling takes many minutes. An engine that cannot take
a model is in the plan with its error, so that the run reports it.

The plan (`plan.json`) holds, for each model, its file, the native library's margins of all rows (the reference) and the
engines: name, whose it is, how to start it, and how far its margins may be from the reference (0: the same bits).
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy

import trees
from train import FEATURES, MODELS

# Sums in single precision, or in another order than the library's. A wrong leaf is off by more, on one of many rows.
SINGLE_TOLERANCE = 1e-4
DOUBLE_TOLERANCE = 1e-9
COMPILE_TIMEOUT_S = 1800


class Folders(NamedTuple):
    """Where things are."""

    models: Path
    native: Path  # the hosts, as `kernels` has compiled them
    lleaves_python: Path


def main(folders: Folders) -> None:
    rows = numpy.fromfile(folders.models / "rows.f32", dtype=numpy.float32).reshape(-1, FEATURES)
    models = []
    for name, suffix, *_ in MODELS:
        path = folders.models / f"{name}.{suffix}"
        print("preparing", name, flush=True)
        models.append(
            {
                "name": name,
                "path": str(path),
                "reference": str(reference(path, rows)),
                "engines": list(engines(path, folders, rows)),
            }
        )
    plan = {"rows": str(folders.models / "rows.f32"), "features": FEATURES, "versions": versions(), "models": models}
    (folders.models / "plan.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")


def reference(path: Path, rows: numpy.ndarray, suffix: str = ".margins") -> Path:
    """The margins of all rows by the library that trained the model, as doubles."""
    saved = path.with_suffix(suffix)
    if not saved.exists():
        if is_xgboost(path):
            import xgboost

            margins = xgboost.Booster(model_file=path).inplace_predict(rows, predict_type="margin")
        else:
            import lightgbm

            margins = lightgbm.Booster(model_file=path).predict(rows.astype(numpy.float64), raw_score=True)
        margins.astype(numpy.float64).tofile(saved)
    return saved


def is_xgboost(path: Path) -> bool:
    return path.suffix == ".json"


def engines(path: Path, folders: Folders, rows: numpy.ndarray) -> Iterator[dict]:
    """What the plan says of each engine for one model."""
    native = folders.native
    tree_tolerance = SINGLE_TOLERANCE if is_xgboost(path) else DOUBLE_TOLERANCE
    plain = path.with_suffix(".trees")
    ensemble = trees.read(path)
    if not plain.exists():
        ensemble.write(plain)

    def entry(name: str, library: str, tolerance: float, make) -> dict:
        facts = {"name": name, "library": library, "tolerance": tolerance}
        try:
            return {**facts, "command": [str(word) for word in make()]}
        except Exception as error:  # reported by the run, and void if the engine must be there
            print(f"  {name}: {error}", flush=True)
            return {**facts, "error": f"{type(error).__name__}: {error}"[:300]}

    yield entry("lockstep C loop", "yardstick", tree_tolerance, lambda: [native / "lockstep", plain])
    if is_xgboost(path):
        yield entry("XGBoost", "xgboost", 0.0, lambda: [native / "xgboost", path])
    else:
        yield entry("LightGBM", "lightgbm", 0.0, lambda: [native / "lightgbm", path])
        yield entry("lleaves", "lleaves", DOUBLE_TOLERANCE, lambda: [native / "lleaves", *lleaves(path, folders)])
    number = "float" if is_xgboost(path) else "double"
    for quantized in (False, True):
        title = "tl2cgen quantised" if quantized else "tl2cgen"
        yield entry(
            title, "tl2cgen", tree_tolerance, lambda q=quantized: [native / "tl2cgen", tl2cgen_library(path, q), number]
        )
    onnx = native / "onnxruntime"
    yield entry("ONNX Runtime", "onnxruntime", SINGLE_TOLERANCE, lambda: [onnx, onnx_model(path, ensemble)])
    yield entry("oneDAL", "onedal", SINGLE_TOLERANCE, lambda: [native / "onedal", plain])
    yield from ydf_engines(path, ensemble, native, entry, rows)


def lleaves(path: Path, folders: Folders) -> list[Path]:
    """Two libraries: trees in blocks are for batches, and cost a single row more."""
    libraries = [path.with_suffix(f".lleaves-{use}.so") for use in ("single", "batch")]
    if not all(library.exists() for library in libraries):
        script = Path(__file__).parent / "lleaves_compile.py"
        words = [folders.lleaves_python, script, path, *libraries]
        subprocess.run(words, check=True, timeout=COMPILE_TIMEOUT_S)
    return libraries


def tl2cgen_library(path: Path, quantized: bool) -> Path:
    library = path.with_suffix(".quantized.so" if quantized else ".plain.so")
    if not library.exists():
        import tl2cgen
        import treelite

        load = treelite.frontend.load_xgboost_model if is_xgboost(path) else treelite.frontend.load_lightgbm_model
        # Files of a few dozen trees: gcc's time grows faster than a file's length.
        parameters = {"parallel_comp": 32, "quantize": int(quantized)}
        partial = library.with_suffix(".partial.so")
        tl2cgen.export_lib(load(path), toolchain="gcc", libpath=partial, params=parameters, nthread=2)
        partial.rename(library)
    return library


def onnx_model(path: Path, ensemble: trees.Trees) -> Path:
    """The operator that converters write, with their choice of comparison: `<` for XGBoost, `<=` for LightGBM."""
    saved = path.with_suffix(".onnx")
    if saved.exists():
        return saved
    from onnx import TensorProto, checker, helper

    less = is_xgboost(path)
    columns: dict[str, list] = {name: [] for name in NODE_COLUMNS}
    leaves: dict[str, list] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(ensemble.trees):
        leaf = tree.feature == trees.LEAF
        below = numpy.nextafter(tree.threshold, numpy.float32(-numpy.inf))
        thresholds = numpy.where(leaf, numpy.float32(0), tree.threshold if less else below)
        mode = "BRANCH_LT" if less else "BRANCH_LEQ"
        for name, values in zip(
            NODE_COLUMNS,
            (
                numpy.full(len(leaf), number),
                numpy.arange(len(leaf)),
                numpy.where(leaf, 0, tree.feature),
                ["LEAF" if is_leaf else mode for is_leaf in leaf],
                thresholds.astype(float),
                numpy.where(leaf, 0, tree.left),
                numpy.where(leaf, 0, tree.right),
                numpy.where(leaf, 0, tree.default_left).astype(int),
            ),
            strict=True,
        ):
            columns[name].extend(values if isinstance(values, list) else values.tolist())
        places = numpy.flatnonzero(leaf)
        leaves["treeids"].extend([number] * len(places))
        leaves["nodeids"].extend(places.tolist())
        leaves["ids"].extend([0] * len(places))
        leaves["weights"].extend(tree.value[places].tolist())
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["margins"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[ensemble.base],
        post_transform="NONE",
        **{f"nodes_{name}": values for name, values in columns.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, ensemble.features])],
        [helper.make_tensor_value_info("margins", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    saved.write_bytes(model.SerializeToString())
    return saved


NODE_COLUMNS = (
    "treeids",
    "nodeids",
    "featureids",
    "modes",
    "values",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)


def ydf_engines(path: Path, ensemble: trees.Trees, native: Path, entry, rows: numpy.ndarray) -> Iterator[dict]:
    """One entry for each engine that takes the model, in two forms.

    In the first, what is missing goes where the library sends it. Most YDF models are trained otherwise: a mean stands
    for what is missing, and its faster engines want that. The second form is such a model, the same trees with that
    rule, and is compared with the library's margins for rows in which the means are filled in.
    """
    host = Path(__file__).parent / "native" / "ydf_host.py"
    for imputed in (False, True):
        folder = path.with_suffix(".imputed.ydf" if imputed else ".ydf")
        problem, names, extra = None, ["?"], {}
        try:
            names, means = ydf_model(folder, ensemble, imputed)
            if imputed:
                names = [name for name in names if name != "GradientBoostedTreesGeneric"]
                filled = numpy.where(numpy.isnan(rows), means, rows)
                extra = {"reference": str(reference(path, filled, ".imputed.margins"))}
        except Exception as error:
            problem = error
        for name in names:
            title = name.removeprefix("GradientBoostedTrees").replace("QuickScorerExtended", "QuickScorer ").strip()
            title = f"YDF {title}, means" if imputed else f"YDF {title}"

            def make(name: str = name, folder: Path = folder, problem: Exception | None = problem) -> list:
                if problem:
                    raise problem
                return [sys.executable, host, native / "libydf.so", "ROWS", "FEATURES", folder, name]

            yield {**entry(title, "ydf", SINGLE_TOLERANCE, make), **extra}


def ydf_model(folder: Path, ensemble: trees.Trees, imputed: bool) -> tuple[list[str], numpy.ndarray]:
    """The same trees as a YDF model; returns the engines that take it, and what it has for each feature's mean."""
    import ydf

    if not folder.exists():
        random = numpy.random.default_rng(0)
        data = {f"f{feature}": random.normal(size=200) for feature in range(ensemble.features)}
        learner = ydf.GradientBoostedTreesLearner(
            label="label", task=ydf.Task.REGRESSION, num_trees=1, validation_ratio=0.0, features=list(data)
        )
        model = learner.train({**data, "label": data["f0"]}, verbose=0)
        columns, means = ydf_columns(model, ensemble.features)
        model.remove_tree(0)
        for tree in ensemble.trees:
            right = means[tree.feature] >= tree.threshold if imputed else ~tree.default_left.astype(bool)
            model.add_tree(ydf.tree.Tree(root=ydf_node(tree, 0, columns, right)))
        model.set_initial_predictions([ensemble.base])
        model.save(str(folder) + ".partial")
        Path(str(folder) + ".partial").rename(folder)
    model = ydf.load_model(str(folder))
    return list(model.list_compatible_engines()), ydf_columns(model, ensemble.features)[1]


def ydf_columns(model, features: int) -> tuple[list[int], numpy.ndarray]:
    """For each feature, its column in YDF's data and its mean there."""
    found = {column.name: (number, column) for number, column in enumerate(model.data_spec().columns)}
    ours = [found[f"f{feature}"] for feature in range(features)]
    means = numpy.array([column.numerical.mean for _, column in ours], dtype=numpy.float32)
    return [number for number, _ in ours], means


def ydf_node(tree: trees.Tree, node: int, columns: list[int], missing_right: numpy.ndarray):
    from ydf.model.tree import Leaf, NonLeaf, NumericalHigherThanCondition, RegressionValue

    if tree.feature[node] == trees.LEAF:
        return Leaf(value=RegressionValue(num_examples=1, value=float(tree.value[node])))
    condition = NumericalHigherThanCondition(
        missing=bool(missing_right[node]),
        score=0.0,
        attribute=columns[tree.feature[node]],
        threshold=float(tree.threshold[node]),
    )
    children = [ydf_node(tree, int(child[node]), columns, missing_right) for child in (tree.left, tree.right)]
    return NonLeaf(
        value=RegressionValue(num_examples=1, value=0.0),
        condition=condition,
        pos_child=children[1],
        neg_child=children[0],
    )


def versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("xgboost-cpu", "lightgbm", "treelite", "tl2cgen", "onnxruntime", "daal", "ydf")
    return {package: version(package) for package in packages} | {"lleaves": "1.3.0"}


if __name__ == "__main__":
    main(Folders(*map(Path, sys.argv[1:4])))
