"""Small XGBoost models over everything that decides a prediction, and rows that sit where a mistake would show.

Every recipe is drawn from its own number, so a failing one can be trained again alone.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

Table = NDArray[np.float64]
TRAIN_ROWS, ROUNDS, CATEGORIES = 300, 8, 12
CATEGORICAL = (2, 5)  # columns, where a recipe has categories
PLAIN_NAMES = [f"f{i}" for i in range(7)]
ODD_NAMES = ["visits (7 days)", 'so-called "fit"', "größe", "a,b", "1", "-", "f 6"]

# objective -> the parameters that it needs
OBJECTIVES: dict[str, dict[str, Any]] = {
    "reg:squarederror": {},
    "reg:squaredlogerror": {},
    "reg:logistic": {},
    "reg:pseudohubererror": {"huber_slope": 0.7},
    "reg:absoluteerror": {},
    "reg:quantileerror": {"quantile_alpha": 0.3},
    "reg:quantileerror, several": {"quantile_alpha": [0.1, 0.5, 0.9]},
    "binary:logistic": {},
    "binary:logitraw": {},
    "binary:hinge": {},
    "count:poisson": {},
    "survival:cox": {},
    "survival:aft": {"aft_loss_distribution": "logistic"},
    "multi:softmax": {"num_class": 3},
    "multi:softprob": {"num_class": 4},
    "rank:pairwise": {},
    "rank:ndcg": {},
    "rank:map": {},
    "reg:gamma": {},
    "reg:tweedie": {"tweedie_variance_power": 1.4},
}
# What a linear booster and trees of vector leaves train; the first takes no ranking, the others no scalar target.
LINEAR = ["reg:squarederror", "binary:logistic", "binary:logitraw", "count:poisson", "multi:softmax", "multi:softprob"]
VECTOR = ["multi:softmax", "multi:softprob"]
IN_UNIT_INTERVAL = {"reg:logistic", "binary:logistic", "binary:logitraw", "binary:hinge", "rank:map"}


@dataclass(frozen=True)
class Recipe:
    seed: int
    objective: str
    booster: str = "gbtree"
    tree_method: str = "hist"
    parallel: int = 1
    depth: int = 4
    base_score: float | None = None
    categorical: bool = False
    missing: bool = True
    format: str = "json"

    def __str__(self) -> str:
        extras = [f"x{self.parallel}"] if self.parallel > 1 else []
        extras += ["cat"] if self.categorical else []
        extras += [] if self.base_score is None else [f"base{self.base_score}"]
        words = [self.objective.replace(":", "-").replace(", ", "-"), self.booster, self.tree_method, f"d{self.depth}"]
        return "-".join([*words, *extras, self.format])

    @property
    def names(self) -> list[str]:
        return ODD_NAMES if self.seed % 3 == 0 else PLAIN_NAMES


def recipes() -> list[Recipe]:
    """Each objective with each kind of booster; method, depth, format and the rest go round at other paces."""
    found = []
    for number, objective in enumerate(OBJECTIVES):
        plain = Recipe(seed=10 * number, objective=objective)
        found += [
            replace(plain, depth=1 + number % 6, missing=False, format="ubj"),
            replace(plain, booster="dart", tree_method="approx", base_score=start(objective)),
            replace(plain, parallel=3, depth=5, base_score=start(objective), categorical=True),
            replace(plain, tree_method="approx", depth=6, categorical=True, format="ubj"),
            replace(plain, tree_method=exact_or_hist(objective), depth=8, format="ubj"),
            replace(plain, booster="dart", parallel=2, depth=3, categorical=True, base_score=start(objective)),
        ]
    found = [replace(recipe, seed=recipe.seed + i % 6) for i, recipe in enumerate(found)]
    for number, objective in enumerate([*LINEAR, *VECTOR, *VECTOR]):
        plain = Recipe(seed=1000 + number, objective=objective, format=("json", "ubj")[number % 2])
        if number < len(LINEAR):
            found.append(replace(plain, booster="gblinear", base_score=start(objective) if number % 3 else None))
        else:
            found.append(replace(plain, booster="vector", depth=number - 4, parallel=1 + number % 3))
    return found


def start(objective: str) -> float:
    """A base score that the objective accepts, and whose logarithm or logit is not a round number."""
    return 0.37 if objective in IN_UNIT_INTERVAL else 1.7


def exact_or_hist(objective: str) -> str:
    """`exact` builds one scalar target only and cannot renew leaves, as the quantile and absolute errors do."""
    return "hist" if objective.startswith(("reg:quantileerror", "reg:absoluteerror")) else "exact"


def train(recipe: Recipe, path: Path) -> xgb.Booster:
    """Trains, saves to `path` and returns what XGBoost reads back from there."""
    rng = np.random.Generator(np.random.PCG64(recipe.seed))
    data = matrix(recipe, training_table(rng, recipe))
    set_label(data, rng, recipe.objective)
    params = {
        **OBJECTIVES[recipe.objective],
        "objective": recipe.objective.partition(",")[0],
        "booster": "gbtree" if recipe.booster == "vector" else recipe.booster,
        "multi_strategy": "multi_output_tree" if recipe.booster == "vector" else "one_output_per_tree",
        "tree_method": recipe.tree_method,
        "num_parallel_tree": recipe.parallel,
        "max_depth": recipe.depth,
        "eta": 0.4,
        "subsample": 0.8,
        "max_cat_to_onehot": 1 if recipe.seed % 2 else 8,
        "seed": recipe.seed,
        "nthread": 1,
    }
    params |= {"updater": "coord_descent"} if recipe.booster == "gblinear" else {}
    params |= {"rate_drop": 0.3, "skip_drop": 0.2} if recipe.booster == "dart" else {}
    params |= {} if recipe.base_score is None else {"base_score": recipe.base_score}
    xgb.train(params, data, num_boost_round=ROUNDS).save_model(path)
    return xgb.Booster(model_file=path)


def matrix(recipe: Recipe, table: Table) -> xgb.DMatrix:
    types = ["c" if recipe.categorical and j in CATEGORICAL else "q" for j in range(table.shape[1])]
    return xgb.DMatrix(
        table, feature_names=recipe.names, feature_types=types, enable_categorical=recipe.categorical, nthread=1
    )


def training_table(rng: np.random.Generator, recipe: Recipe) -> Table:
    table = rng.normal(size=(TRAIN_ROWS, len(recipe.names))) * [1.0, 1e-3, 1.0, 1e30, 50.0, 1.0, 1e-40]
    if recipe.booster == "gblinear":
        table[:, 3] /= 1e30  # a linear booster does not converge on columns so far apart
    table[:, 4] = np.round(table[:, 4])
    for column in CATEGORICAL:
        if recipe.categorical:
            table[:, column] = rng.integers(0, CATEGORIES, TRAIN_ROWS)
    if recipe.missing:
        table[rng.random(table.shape) < 0.2] = np.nan
    return table


def set_label(data: xgb.DMatrix, rng: np.random.Generator, objective: str) -> None:
    signal = np.nan_to_num(data.get_data().toarray()[:, [0, 4]]) @ [1.0, 0.03] + rng.normal(size=TRAIN_ROWS)
    if objective.startswith("multi:"):
        data.set_label(np.digitize(signal, [-1.0, 0.0, 1.0]) % OBJECTIVES[objective]["num_class"])
    elif objective in IN_UNIT_INTERVAL:
        data.set_label((signal > 0).astype(float))
    elif objective.startswith("rank:"):
        data.set_label(np.digitize(signal, [-1.0, 0.0, 1.0]))
    elif objective == "survival:cox":
        data.set_label(np.exp(signal / 3) * np.where(rng.random(TRAIN_ROWS) < 0.3, -1, 1))
    elif objective == "count:poisson":
        data.set_label(rng.poisson(np.exp(signal / 3)))
    else:
        data.set_label(np.exp(signal / 3))
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", np.exp(signal / 3))
        data.set_float_info("label_upper_bound", np.where(rng.random(TRAIN_ROWS) < 0.3, np.inf, np.exp(signal / 3)))
    if objective.startswith("rank:"):
        data.set_group([TRAIN_ROWS // 10] * 10)


def hard_rows(recipe: Recipe, model: Path, count: int = 160) -> Table:
    """Random rows whose values are mostly thresholds, their neighbours in float32, and the ends of the number line."""
    rng = np.random.Generator(np.random.PCG64(1000 + recipe.seed))
    pools = [value_pool(rng, values) for values in thresholds(model, len(recipe.names))]
    for column in CATEGORICAL:
        if recipe.categorical:
            pools[column] = category_pool()
    rows = np.column_stack([rng.choice(pool, count) for pool in pools])
    rows[rng.random(rows.shape) < 0.15] = np.nan
    rows[0] = np.nan
    return rows


def value_pool(rng: np.random.Generator, values: NDArray[np.float32]) -> Table:
    inf = np.float32(np.inf)
    beside = [np.nextafter(values, -inf), np.nextafter(values, inf)]
    on = values.astype(np.float64)
    # Doubles that are not float32: they round to a threshold, so narrowing has to come before comparing.
    rounding = [np.nextafter(on, -np.inf), np.nextafter(on, np.inf)]
    ends = [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 3.4028234663852886e38, -3.4028234663852886e38, 1e20, -1e20]
    ordinary = rng.normal(size=8)
    pool = np.concatenate([on, on, *beside, *rounding, ends, ordinary])
    return pool[np.isfinite(pool.astype(np.float32))]


def category_pool() -> Table:
    """Known categories, fractions that truncate to one, unknown ones, invalid ones."""
    return np.array([*range(CATEGORIES), *range(CATEGORIES), 0.5, 3.99, 12, 31, 32, 33, 64, 1000, 16777216, -0.5, -1.0])


def thresholds(model: Path, columns: int) -> list[NDArray[np.float32]]:
    """The distinct numerical thresholds of each column."""
    booster = json.loads(xgb.Booster(model_file=model).save_raw("json"))["learner"]["gradient_booster"]
    found: list[list[float]] = [[] for _ in range(columns)]
    for tree in booster.get("gbtree", booster)["model"].get("trees", []):
        fields = ("left_children", "split_indices", "split_conditions", "split_type")
        for left, column, condition, kind in zip(*(tree[field] for field in fields), strict=True):
            if left != -1 and kind == 0:
                found[column].append(condition)
    return [np.unique(np.array(values, dtype=np.float32)) for values in found]
