"""The embedded demo model: its files agree with each other, with XGBoost, and with the program."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

import command
from exact import assert_bit_equal, assert_within

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "engine" / "demo"
MODEL = DEMO / "demo.ubj"
NAMES = [f"f{i}" for i in range(1, 51)]
FRESH_SEED = 4  # train.py uses 1 to 3

sys.path.append(str(DEMO))
from leads import FEATURES, population  # noqa: E402


@pytest.fixture(scope="module")
def booster() -> xgb.Booster:
    return xgb.Booster(model_file=MODEL)


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return tomllib.loads((DEMO / "demo.toml").read_text())


def matrix(rows: np.ndarray) -> xgb.DMatrix:
    return xgb.DMatrix(rows, feature_names=NAMES)


def test_manifest_describes_the_model(manifest: dict[str, Any], booster: xgb.Booster) -> None:
    assert list(manifest["features"]) == list(FEATURES) == booster.feature_names == NAMES
    assert {name: (f["label"], f["description"]) for name, f in manifest["features"].items()} == FEATURES


def test_page_shows_every_feature() -> None:
    page = (ROOT / "docs" / "demo_model.md").read_text()
    absent = [name for name, (label, text) in FEATURES.items() if f"| {name} | {label} | {text} |" not in page]
    assert not absent


def test_edges_are_quintiles(manifest: dict[str, Any], booster: xgb.Booster) -> None:
    rows, _ = population(100_000, FRESH_SEED)
    band = np.searchsorted(manifest["edges"], booster.predict(matrix(rows)).astype(float), side="right")
    share = np.bincount(band, minlength=5) / len(rows)
    assert np.all(np.abs(share - 0.2) < 0.005), share


def test_golden_rows_hold_for_xgboost(manifest: dict[str, Any], booster: xgb.Booster) -> None:
    rows, margins = golden(manifest)
    assert np.array_equal(booster.predict(matrix(rows), output_margin=True).astype(float), margins)


@pytest.mark.parametrize("kernel", ["auto", "reference", "scalar"])
def test_program_meets_golden_rows(manifest: dict[str, Any], kernel: str, tmp_path: Path) -> None:
    rows, margins = golden(manifest)
    file = command.write_rows(tmp_path / "golden.csv", NAMES, rows)
    assert_bit_equal(command.score(MODEL, file, kernel=kernel), margins)


def test_program_equals_xgboost_on_fresh_leads(booster: xgb.Booster, tmp_path: Path) -> None:
    rows, _ = population(3_000, FRESH_SEED)
    file = command.write_rows(tmp_path / "leads.csv", NAMES, rows)
    assert_bit_equal(command.score(MODEL, file), booster.predict(matrix(rows), output_margin=True))
    assert_within(command.score(MODEL, file, "prediction"), booster.predict(matrix(rows)), 1)


def golden(manifest: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    entries = manifest["golden"]
    return np.array([entry["features"] for entry in entries]), np.array([entry["margin"][0] for entry in entries])
