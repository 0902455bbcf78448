"""Two tables of real leads with their strings, and models that two libraries train on them as pandas categories."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import DTypeLike, NDArray

from conftest import DATA
from serving import Features

TRAIN_ROWS, SCORED_ROWS, ROUNDS, SEED = 4_000, 3_000, 60, 7
# table -> file, separator, target, and what says nothing of a lead
TABLES = {
    "bank": ("bank-marketing-15k.csv", ";", "term_deposit_subscription", []),
    "leads": ("Leads.csv", ",", "Converted", ["Prospect ID", "Lead Number"]),
}


@dataclass(frozen=True)
class Trained:
    """A saved model, leads with strings that it has not been trained on, and what its own library says of them."""

    model: Path
    frame: pd.DataFrame
    margin: NDArray[np.floating]
    prediction: NDArray[np.floating]
    dtype: DTypeLike

    def features(self, row: int) -> Features:
        """Missing values go as null in even rows and are left out in odd ones."""
        values = self.frame.iloc[row].to_dict()
        return {name: None if pd.isna(x) else x for name, x in values.items() if row % 2 == 0 or not pd.isna(x)}


def tables() -> bool:
    return all((DATA / file).is_file() for file, *_ in TABLES.values())


def load(table: str) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """All rows in an order of chance, strings as they are, and the label."""
    file, separator, target, nothing = TABLES[table]
    frame = pd.read_csv(DATA / file, sep=separator).sample(frac=1, random_state=SEED, ignore_index=True)
    label = frame[target].isin(["yes", 1]).to_numpy(dtype=float)
    return frame.drop(columns=[target, *nothing]), label


def strings(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]


def as_categories(frame: pd.DataFrame, *, reverse: bool = False) -> pd.DataFrame:
    """Strings become categories. In reverse order their codes are not those of training, so only names can be right."""
    columns = {name: sorted(frame[name].dropna().unique(), reverse=reverse) for name in strings(frame)}
    return frame.assign(**{name: pd.Categorical(frame[name], names) for name, names in columns.items()})


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame[:TRAIN_ROWS], frame[TRAIN_ROWS : TRAIN_ROWS + SCORED_ROWS].reset_index(drop=True)


def xgboost_model(table: str, folder: Path) -> Trained:
    """XGBoost refuses names that training never saw, so leads with such are left out."""
    frame, label = load(table)
    train, scored = split(frame)
    for name in strings(frame):
        scored = scored[scored[name].isna() | scored[name].isin(train[name])]
    scored = scored.reset_index(drop=True)
    data = xgb.DMatrix(as_categories(train), label[:TRAIN_ROWS], enable_categorical=True)
    params = {"objective": "binary:logistic", "max_depth": 6, "max_cat_to_onehot": 4, "seed": SEED, "nthread": 1}
    path = folder / f"xgboost-{table}.ubj"
    xgb.train(params, data, num_boost_round=ROUNDS).save_model(path)
    booster = xgb.Booster(model_file=path)
    rows = xgb.DMatrix(as_categories(scored, reverse=True), enable_categorical=True)
    return Trained(path, scored, booster.predict(rows, output_margin=True), booster.predict(rows), np.float32)


def lightgbm_model(table: str, folder: Path) -> Trained:
    """Leads with names that training never saw are in: LightGBM takes them for missing."""
    frame, label = load(table)
    train, scored = split(frame)
    params = {"objective": "binary", "min_data_per_group": 5, "seed": SEED, "num_threads": 1, "verbosity": -1}
    path = folder / f"lightgbm-{table}.txt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name's spaces become underscores
        lgb.train(params, lgb.Dataset(as_categories(train), label[:TRAIN_ROWS]), ROUNDS).save_model(path)
    booster = lgb.Booster(model_file=path)
    rows = as_categories(scored, reverse=True)
    margin, prediction = booster.predict(rows, raw_score=True), booster.predict(rows)
    scored.columns = booster.feature_name()
    return Trained(path, scored, margin, prediction, np.float64)


LIBRARIES = {"xgboost": xgboost_model, "lightgbm": lightgbm_model}
