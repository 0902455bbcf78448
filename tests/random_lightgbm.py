"""Small LightGBM models over everything that decides a prediction, and rows that sit where a mistake would show.

Every recipe is drawn from its own number, so a failing one can be trained again alone.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
TRAIN_ROWS, ROUNDS, CATEGORIES = 400, 7, 40
CATEGORICAL = (2, 5)  # columns, where a recipe has categories
PLAIN_NAMES = [f"f{i}" for i in range(7)]
ODD_NAMES = ["visits_(7_days)", "größe", "a=b", "1", "-", "Tree", "名前"]
ZERO_THRESHOLD = float(np.float32(1e-35))  # values up to here are dropped on the way into the library

# objective -> the parameters that it needs
OBJECTIVES: dict[str, dict[str, Any]] = {
    "regression": {},
    "regression, sqrt": {"reg_sqrt": True},
    "regression_l1": {},
    "regression_l1, sqrt": {"reg_sqrt": True},
    "huber": {"alpha": 0.8},
    "fair": {"fair_c": 1.3},
    "poisson": {},
    "quantile": {"alpha": 0.3},
    "mape": {},
    "gamma": {},
    "tweedie": {"tweedie_variance_power": 1.3},
    "binary": {},
    "binary, sigmoid": {"sigmoid": 0.7},
    "multiclass": {"num_class": 3},
    "multiclassova": {"num_class": 4, "sigmoid": 1.7},
    "cross_entropy": {},
    "cross_entropy_lambda": {},
    "lambdarank": {},
    "rank_xendcg": {},
    "none": {},
}


@dataclass(frozen=True)
class Recipe:
    seed: int
    objective: str
    boosting: str = "gbdt"
    leaves: int = 15
    categorical: bool = False
    linear: bool = False
    missing: str = "nan"  # or "none" (use_missing=false), "zero" (zero_as_missing), "clean" (no missing in training)
    crlf: bool = False

    def __str__(self) -> str:
        flags = [name for name in ("categorical", "linear", "crlf") if getattr(self, name)]
        return "-".join([self.objective.replace(", ", "-"), self.boosting, f"l{self.leaves}", self.missing, *flags])

    @property
    def names(self) -> list[str]:
        return ODD_NAMES if self.seed % 3 == 0 else PLAIN_NAMES


def recipes() -> list[Recipe]:
    """Each objective with each kind of booster and of missing value; sizes, categories and the rest go round."""
    found = []
    for number, objective in enumerate(OBJECTIVES):
        plain = Recipe(seed=10 * number, objective=objective)
        linear = not objective.startswith(("regression_l1", "huber", "quantile", "mape"))
        found += [
            replace(plain, leaves=2 + number % 5, missing="clean"),
            replace(plain, boosting="dart", missing="zero", categorical=True),
            # A forest takes no objective but the library's own.
            replace(plain, boosting="gbdt" if objective == "none" else "rf", leaves=31, categorical=number % 2 == 0),
            replace(plain, missing="none", categorical=True, crlf=True),
            replace(plain, leaves=50, missing="zero", crlf=number % 2 == 1),
            replace(plain, linear=linear, leaves=8, missing="nan" if number % 2 else "none"),
            replace(plain, leaves=63, categorical=True),
        ]
    return [replace(recipe, seed=recipe.seed + i % 7) for i, recipe in enumerate(found)]


def train(recipe: Recipe, path: Path) -> lgb.Booster:
    """Trains, saves to `path` and returns what LightGBM reads back from there."""
    rng = np.random.Generator(np.random.PCG64(recipe.seed))
    table = training_table(rng, recipe)
    params = {
        "objective": recipe.objective.partition(",")[0],
        "boosting": recipe.boosting,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": 2,
        "min_data_per_group": 2,
        "cat_smooth": 1.0,
        "max_cat_to_onehot": 1 if recipe.seed % 2 else 8,
        "learning_rate": 0.3,
        "linear_tree": recipe.linear,
        "use_missing": recipe.missing != "none",
        "zero_as_missing": recipe.missing == "zero",
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": recipe.seed,
        "num_threads": 1,
        "verbosity": -1,
        **OBJECTIVES[recipe.objective],
    }
    label, group = labels(rng, table, recipe.objective)
    if recipe.objective == "none":
        params["objective"] = lambda scores, data: (scores - data.get_label(), np.ones(len(scores)))
    data = lgb.Dataset(
        table,
        label,
        group=group,
        feature_name=recipe.names,
        categorical_feature=list(CATEGORICAL) if recipe.categorical else [],
        params=params,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        booster = lgb.train(params, data, num_boost_round=ROUNDS)
    text = booster.model_to_string()
    path.write_bytes(text.replace("\n", "\r\n" if recipe.crlf else "\n").encode())
    return lgb.Booster(model_str=text)


def training_table(rng: np.random.Generator, recipe: Recipe) -> Table:
    table = rng.normal(size=(TRAIN_ROWS, len(recipe.names))) * [1.0, 1e-3, 1.0, 1e30, 50.0, 1.0, 1e-34]
    if recipe.linear:
        table[:, 3] /= 1e30
    table[:, 4] = np.round(table[:, 4])
    table[rng.random(table.shape) < 0.1] = 0.0
    for column in CATEGORICAL:
        if recipe.categorical:
            table[:, column] = rng.integers(0, CATEGORIES, TRAIN_ROWS)
    if recipe.missing in ("nan", "none"):
        table[rng.random(table.shape) < 0.2] = np.nan
    return table


def labels(rng: np.random.Generator, table: Table, objective: str) -> tuple[Table, list[int] | None]:
    signal = np.nan_to_num(table[:, [0, 2, 4]]) @ [1.0, 0.1, 0.03] + rng.normal(size=TRAIN_ROWS)
    kind = objective.partition(",")[0]
    if kind.startswith("multiclass"):
        return np.digitize(signal, [-1.0, 0.0, 1.0]) % OBJECTIVES[objective]["num_class"], None
    if kind in ("binary", "cross_entropy", "cross_entropy_lambda"):
        return (signal > 0).astype(float), None
    if kind in ("lambdarank", "rank_xendcg"):
        return np.digitize(signal, [-1.0, 0.0, 1.0]), [TRAIN_ROWS // 10] * 10
    if kind == "poisson":
        return rng.poisson(np.exp(signal / 4)), None
    return np.exp(signal / 4), None


def hard_rows(recipe: Recipe, booster: lgb.Booster, count: int = 160) -> Table:
    """Random rows whose values are mostly thresholds, their neighbours in float64, and the ends of the number line."""
    rng = np.random.Generator(np.random.PCG64(1000 + recipe.seed))
    pools = [value_pool(rng, values) for values in thresholds(booster, len(recipe.names))]
    for column in CATEGORICAL:
        if recipe.categorical:
            pools[column] = category_pool()
    rows = np.column_stack([rng.choice(pool, count) for pool in pools])
    rows[rng.random(rows.shape) < 0.15] = np.nan
    rows[0] = np.nan
    rows[1] = 0.0
    return rows


def value_pool(rng: np.random.Generator, values: Table) -> Table:
    beside = [np.nextafter(values, -np.inf), np.nextafter(values, np.inf)]
    zero = [ZERO_THRESHOLD, np.nextafter(ZERO_THRESHOLD, 0.0), np.nextafter(ZERO_THRESHOLD, 1.0)]
    ends = [0.0, -0.0, 5e-324, -5e-324, *zero, *np.negative(zero), 1e300, -1e300, np.inf, -np.inf]
    return np.concatenate([values, values, *beside, ends, rng.normal(size=8)])


def category_pool() -> Table:
    """Known categories, fractions that truncate to one, unknown ones, invalid ones."""
    odd = [0.5, 3.99, 40, 63, 64, 1e6, 2147483647, 2147483648, 1e300, np.inf, -np.inf, -0.0, -0.5, -0.99, -1.0, 1e-36]
    return np.array([*range(CATEGORIES), *range(CATEGORIES), *odd], dtype=np.float64)


def thresholds(booster: lgb.Booster, columns: int) -> list[Table]:
    """The distinct numerical thresholds of each column, read from the text, where they have all their digits."""
    found: list[list[float]] = [[] for _ in range(columns)]
    fields: dict[str, str] = {}
    for line in booster.model_to_string().splitlines():
        key, _, value = line.partition("=")
        fields[key] = value
        if key == "decision_type" and value:
            parts = (fields[key].split() for key in ("split_feature", "threshold", "decision_type"))
            for column, threshold, decision in zip(*parts, strict=True):
                if int(decision) % 2 == 0:
                    found[int(column)].append(float(threshold))
    return [np.unique(np.array(values, dtype=np.float64)) for values in found]
