"""The pieces of `perf/kernels`, no timing: the hosts of the engines that the tests have, and the report."""

import json
import struct
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import xgboost

PERF = Path(__file__).resolve().parent.parent / "perf"
sys.path.insert(0, str(PERF))

import prepare  # noqa: E402
import report  # noqa: E402
import train  # noqa: E402
import trees  # noqa: E402

ROWS = 2048
HOSTS = ("lockstep", "xgboost", "lightgbm", "onnxruntime")


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hosts, built against the wheels that the tests are run with; they have no oneDAL and no YDF."""
    folder = tmp_path_factory.mktemp("native")
    done = subprocess.run([PERF / "native" / "build", sys.prefix, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    missing = [name for name in HOSTS if not (folder / name).is_file()]
    assert not missing, f"{missing} did not build\n{done.stderr}"
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of each library, as `train.py` makes the large ones, and rows."""
    folder = tmp_path_factory.mktemp("models")
    data = train.table(4000, 1)
    train.train_xgboost(folder / "xgboost.json", 21, 5, *data)
    train.train_lightgbm(folder / "lightgbm.txt", 21, 31, *data)
    train.table(ROWS, 2)[0].tofile(folder / "rows.f32")
    return folder


def answers(host: Path, models: Path, per_call: int, *arguments: Path) -> np.ndarray:
    """The margins of all rows from one turn of a host."""
    turn = f"0 {ROWS} {per_call}\n".encode()
    words = [host, models / "rows.f32", str(train.FEATURES), *arguments]
    done = subprocess.run(words, input=turn, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    ready, rest = done.stdout[:6], done.stdout[6:]
    assert ready == b"ready\n"
    nanoseconds, *margins = struct.unpack(f"<{ROWS + 1}d", rest)
    assert nanoseconds > 0
    return np.array(margins)


def reference(models: Path, name: str) -> np.ndarray:
    rows = np.fromfile(models / "rows.f32", dtype=np.float32).reshape(ROWS, train.FEATURES)
    assert np.isnan(rows).any()
    if name == "xgboost.json":
        return xgboost.Booster(model_file=models / name).inplace_predict(rows, predict_type="margin").astype(np.float64)
    return lightgbm.Booster(model_file=models / name).predict(rows.astype(np.float64), raw_score=True)


@pytest.mark.parametrize("per_call", [1, 1024])
@pytest.mark.parametrize("name", ["xgboost.json", "lightgbm.txt"])
def test_hosts_answer_as_the_library_does(native: Path, models: Path, name: str, per_call: int) -> None:
    wanted = reference(models, name)
    model = models / name
    library = native / model.stem
    assert np.array_equal(answers(library, models, per_call, model), wanted)
    ensemble = trees.read(model)
    ensemble.write(model.with_suffix(".trees"))
    walked = answers(native / "lockstep", models, per_call, model.with_suffix(".trees"))
    assert np.abs(walked - wanted).max() <= (1e-5 if name == "xgboost.json" else 1e-12)
    converted = answers(native / "onnxruntime", models, per_call, prepare.onnx_model(model, ensemble))
    assert np.abs(converted - wanted).max() <= prepare.SINGLE_TOLERANCE


def test_a_host_refuses_rows_that_are_not_there(native: Path, models: Path) -> None:
    words = [native / "xgboost", models / "rows.f32", str(train.FEATURES), models / "xgboost.json"]
    done = subprocess.run(words, input=f"1 {ROWS} 1\n".encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"no such rows" in done.stderr


def figures(**changes: dict) -> dict:
    """Two models with every engine that must be there; ours takes 100 ns, YDF 1,000, others 2,000. Changes by name."""

    def engine(name: str, library: str, ns: float) -> dict:
        rounds = {"single": [ns, ns * 1.1, ns * 0.9], "batch": [ns / 2] * 3}
        plain = {"name": name, "library": library, "tolerance": 0.0, "worst_difference": 0.0, "void": None, **rounds}
        return plain | changes.get(name, {})

    def model(name: str, own: str) -> dict:
        others = [engine(library, library, 2000.0) for library in ("onedal", "tl2cgen", own)]
        ours = [engine("Quintile (avx512)", "quintile", 100.0), engine("forced", "quintile-forced", 50.0)]
        return {
            "name": name,
            "engines": [*ours, engine("loop", "yardstick", 10.0), engine("ydf", "ydf", 1000.0), *others],
        }

    models = [model("xgboost-a", "xgboost"), model("lightgbm-b", "lightgbm")]
    return {"rounds": 3, "rows_a_round": 4096, "rows_a_batch": 1024, "models": models}


def run_report(folder: Path, made: dict) -> tuple[subprocess.CompletedProcess, dict]:
    (folder / "plan.json").write_text(json.dumps({"versions": {"ydf": "1"}}), encoding="utf-8")
    (folder / "figures.json").write_text(json.dumps(made), encoding="utf-8")
    files = [folder / "plan.json", folder / "figures.json", folder / "out"]
    options = ["--json", folder / "result.json", "--record", folder / "record"]
    words = [sys.executable, PERF / "report.py", *files, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done, json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_a_report_has_ratios_a_table_a_chart_and_a_record(tmp_path: Path) -> None:
    done, result = run_report(tmp_path, figures())
    assert done.returncode == 0, done.stderr
    # Neither the lockstep loop nor a kernel that the planner did not choose has a ratio.
    for use in ("single", "batch"):
        assert result[use] == {"geomean": pytest.approx(10), "worst": pytest.approx(10)}
    assert result["models"][0]["engines"][0]["single"]["rounds"] == [100.0, 110.0, 90.0]
    assert "| ydf | **1,000** ±5 % | **1,000** ±5 % |" in done.stdout
    assert {file.name for file in (tmp_path / "record").iterdir()} == {"kernels.md", "kernels.svg", "kernels.json"}
    drawn = xml.dom.minidom.parse(str(tmp_path / "record" / "kernels.svg"))
    # The background, and 2 uses of 2 models with ours, the yardstick and 4 libraries.
    assert len(drawn.getElementsByTagName("rect")) == 1 + 2 * 2 * 6


@pytest.mark.parametrize("name", ["ydf", "onedal", "tl2cgen", "xgboost", "lightgbm", "Quintile (avx512)"])
def test_a_run_without_one_that_must_be_there_is_void(tmp_path: Path, name: str) -> None:
    done, result = run_report(tmp_path, figures(**{name: {"void": "row 7: wrong", "single": [], "batch": []}}))
    assert done.returncode == 1
    assert "VOID" in done.stderr and "VOID" in done.stdout and "row 7: wrong" in done.stdout
    assert result["single"] is None and result["batch"] is None and result["void"]
    assert not (tmp_path / "record").exists()


def test_an_engine_that_answers_wrongly_is_nobodys_fastest(tmp_path: Path) -> None:
    made = figures()
    wrong = {
        **made["models"][0]["engines"][-1],
        "name": "onnx",
        "library": "onnxruntime",
        "single": [1.0],
        "void": "wrong",
    }
    made["models"][0]["engines"].append(wrong)
    done, result = run_report(tmp_path, made)
    assert done.returncode == 0, done.stderr
    assert result["single"]["worst"] == pytest.approx(10)
    assert report.cell(report.judge_engine(wrong), "single", None) == "void"


def test_the_command_explains_itself() -> None:
    helped = subprocess.run([PERF / "kernels", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert helped.returncode == 0 and "--json FILE" in helped.stdout
    refused = subprocess.run([PERF / "kernels", "--jsn"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2 and "usage" in refused.stderr
