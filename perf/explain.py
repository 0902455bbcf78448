"""Contributions of one row and of 1,024 rows beside XGBoost's and LightGBM's, interleaved on one core.

Called by `perf/explain`. Trains the models or finds them in the folder, checks every library's contributions against
ours, and prints a table: least CPU time over the rounds, in microseconds a row. XGBoost is called through its C
interface, with the rows in place; LightGBM and shap through their Python packages.
"""

import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb

ROUNDS, ROWS, FEATURES = 7, 1024, 50
MODELS = ["xgb-100-d6", "xgb-500-d6", "xgb-1000-d8", "lgb-500-l31", "lgb-500-l255"]


def rows(count: int, seed: int) -> np.ndarray:
    dice = np.random.default_rng(seed)
    values = dice.gamma(2.0, 2.0, (count, FEATURES))
    values[dice.random((count, FEATURES)) < 0.05] = np.nan
    return values


def train(folder: Path, name: str) -> Path:
    kind, trees, size = name.split("-")
    path = folder / f"{name}.{'ubj' if kind == 'xgb' else 'txt'}"
    if path.exists():
        return path
    values = rows(30_000, 1)
    known = np.nan_to_num(values)
    signal = known[:, :20] @ np.random.default_rng(2).normal(size=20) + known[:, 3] * known[:, 7]
    label = (signal + np.random.default_rng(3).normal(size=len(signal)) * 6 > np.median(signal)).astype(float)
    number = int(size[1:])
    if kind == "xgb":
        params = {"objective": "binary:logistic", "max_depth": number, "eta": 0.05, "nthread": 2, "max_bin": 256}
        xgb.train(params, xgb.DMatrix(values, label), int(trees)).save_model(path)
    else:
        params = {"objective": "binary", "num_leaves": number, "learning_rate": 0.05, "verbose": -1, "num_threads": 2}
        lgb.train(params, lgb.Dataset(values, label), int(trees)).save_model(path)
    return path


class Ours:
    def __init__(self, program: str, model: Path, data: Path) -> None:
        command = [program, str(model), str(data)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin and self.process.stdout
        self.into, self.out = self.process.stdin, self.process.stdout
        self.about = self.out.readline().strip()

    def ask(self, line: str) -> str:
        self.into.write(line + "\n")
        self.into.flush()
        return self.out.readline().strip()

    def contributions(self, count: int) -> np.ndarray:
        lines = [self.ask("contributions")] + [self.out.readline().strip() for _ in range(count - 1)]
        words = [[int(word, 16) for word in line.split()] for line in lines]
        return np.array(words, dtype=np.uint64).view(np.float64)


def xgboost_call(booster: xgb.Booster, values: np.ndarray) -> Callable[[], np.ndarray]:
    """`XGBoosterPredictFromDMatrix` of a matrix that is there: contributions are type 2."""
    matrix = xgb.DMatrix(values, nthread=1)
    config = json.dumps({"type": 2, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": True})
    library = xgb.core._LIB

    def call() -> np.ndarray:
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        result = ctypes.POINTER(ctypes.c_float)()
        status = library.XGBoosterPredictFromDMatrix(
            booster.handle,
            matrix.handle,
            config.encode(),
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(result),
        )
        assert status == 0
        return np.ctypeslib.as_array(result, (len(values), FEATURES + 1))

    return call


def peers(model: Path, values: np.ndarray) -> dict[str, Callable[[np.ndarray], Callable[[], np.ndarray]]]:
    found: dict[str, Callable[[np.ndarray], Callable[[], np.ndarray]]] = {}
    booster: Any
    if model.suffix == ".ubj":
        booster = xgb.Booster(model_file=model)
        booster.set_param({"nthread": 1})
        found[f"XGBoost {xgb.__version__}"] = lambda part: xgboost_call(booster, part)
    else:
        booster = lgb.Booster(model_file=model)
        calm = {"pred_contrib": True, "num_threads": 1}
        found[f"LightGBM {lgb.__version__}"] = lambda part: lambda: booster.predict(part, **calm)
    try:
        import shap
    except ImportError:
        print("shap is not installed: it is not timed", file=sys.stderr)
    else:
        explainer = shap.TreeExplainer(booster)
        found[f"shap {shap.__version__}"] = lambda part: lambda: explainer.shap_values(part, check_additivity=False)
    return found


def spent(call: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1e3


def measure(name: str, folder: Path, program: str) -> None:
    model, values = train(folder, name), rows(ROWS, 9)
    data = folder / "rows.bin"
    values.astype("<f8").tofile(data)
    ours, others = Ours(program, model, data), peers(model, values)
    exact = ours.contributions(ROWS)
    size = np.abs(exact[:, :-1]).sum(axis=1)
    print(f"\n{name}: {ours.about}")
    calls = {}
    for peer, make in others.items():
        one, many = make(values[:1]), make(values)
        theirs = np.asarray(many(), dtype=float).reshape(ROWS, -1)
        width = min(theirs.shape[1], FEATURES)
        error = (np.abs(theirs[:, :width] - exact[:, :width]).max(axis=1) / size).max()
        assert error < 1e-5, f"{peer} differs by {error} of the row's sum"
        calls[peer] = (one, many, error)
    least: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        times = {"Quintile": (int(ours.ask("one 20")) / 20e3, int(ours.ask(f"many {ROWS}")) / 1e3 / ROWS)}
        for peer, (one, many, _) in calls.items():
            times[peer] = (spent(one), spent(many) / ROWS)
        for who, (one, many) in times.items():
            before = least.get(who, [one, many])
            least[who] = [min(before[0], one), min(before[1], many)]
    base = least["Quintile"]
    for who, (one, many) in least.items():
        error = f", differs by {calls[who][2]:.1e}" if who in calls else ""
        alone = f"one row {one:10.1f} us ({one / base[0]:6.1f}x)"
        print(f"  {who:18} {alone}   of {ROWS} {many:10.1f} us ({many / base[1]:6.1f}x){error}")


def main() -> None:
    program, place, *names = sys.argv[1:]
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or MODELS:
        train(folder, name)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    print(f"{cpu}, {platform.machine()}, one core, {time.strftime('%Y-%m-%d')}; least CPU time of {ROUNDS} rounds")
    for name in names or MODELS:
        measure(name, folder, program)


if __name__ == "__main__":
    main()
