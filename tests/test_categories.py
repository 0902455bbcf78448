"""Real leads with their strings, over HTTP on each runtime and as CSV: the margins of their libraries to the bit."""

from collections.abc import Callable
from pathlib import Path
from platform import machine

import numpy as np
import pytest

import command
import real_leads
import records
from conftest import DATA, Note
from exact import assert_bit_equal, assert_within
from real_leads import Trained
from serving import Server, io_uring_allowed, score_all

SHARDS, CONNECTIONS = 2, 4
# What the kernels of this architecture need of /proc/cpuinfo; those of another one have no flag there.
NEEDS = {"avx512": "avx512vbmi", "avx512bw": "avx512bw", "avx2": "avx2", "neon": "asimd"}
KERNELS = ("auto", "reference", "scalar", *NEEDS)

if not real_leads.tables():
    pytest.skip(f"THE LEADS ARE NOT THERE ({DATA}): categories are not checked", allow_module_level=True)


@pytest.fixture(
    scope="module", params=[f"{library}-{table}" for library in real_leads.LIBRARIES for table in real_leads.TABLES]
)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    library, _, table = request.param.partition("-")
    return real_leads.LIBRARIES[library](table, tmp_path_factory.mktemp("leads"))


@pytest.mark.parametrize("runtime", ["epoll", "glommio"])
def test_strings_over_http(
    trained: Trained, runtime: str, server: Callable[..., Server], tmp_path: Path, note: Note
) -> None:
    if runtime == "glommio" and not io_uring_allowed():
        note("NOT CHECKED: the glommio runtime, for this machine denies io_uring")
        pytest.skip("IO_URING IS DENIED HERE: the glommio runtime is not checked")
    count = len(trained.frame)
    running = server(trained.model, runtime=runtime, shards=SHARDS)
    answers = score_all(running, [trained.features(row) for row in range(count)], CONNECTIONS)
    running.stop()

    probability = np.array([answer["probability"] for answer in answers])
    off = assert_within(probability, trained.prediction, 1, trained.dtype)
    _, found = records.read(tmp_path / "data" / "scores")
    recorded = found.set_index("lead_id").loc[[f"lead-{row}" for row in range(count)]]
    assert_bit_equal(recorded["margin"].to_numpy(dtype=float), trained.margin, trained.dtype)
    assert_bit_equal(recorded["prediction"].to_numpy(dtype=float), probability, np.float64)
    note(f"{trained.model.stem} ({runtime}): {off} of {count} probabilities are one ulp off, margins exact")


@pytest.mark.parametrize("kernel", KERNELS)
def test_strings_in_csv(trained: Trained, kernel: str, tmp_path: Path, note: Note) -> None:
    if kernel in NEEDS and NEEDS[kernel] not in Path("/proc/cpuinfo").read_text().split():
        if (kernel == "neon") == (machine() == "aarch64"):
            note(f"NOT CHECKED: the {kernel} kernel, for this machine lacks its instructions")
        pytest.skip(f"THE CPU LACKS {NEEDS[kernel].upper()}: the {kernel} kernel is not checked")
    rows = tmp_path / "rows.csv"
    trained.frame.to_csv(rows, index=False)
    assert_bit_equal(command.score(trained.model, rows, "margin", kernel=kernel), trained.margin, trained.dtype)
    assert_within(command.score(trained.model, rows, "prediction", kernel=kernel), trained.prediction, 1, trained.dtype)


def test_codes_in_csv(trained: Trained, tmp_path: Path) -> None:
    """The same rows as the numbers that stand for the strings in training."""
    train, _ = real_leads.split(real_leads.load(trained.model.stem.partition("-")[2])[0])
    train.columns = trained.frame.columns
    frame = trained.frame.copy()
    for name in real_leads.strings(train):
        codes = {word: code for code, word in enumerate(sorted(train[name].dropna().unique()))}
        frame[name] = frame[name].map(codes)
    rows = tmp_path / "rows.csv"
    frame.to_csv(rows, index=False)
    assert_bit_equal(command.score(trained.model, rows), trained.margin, trained.dtype)


def test_a_string_that_training_never_saw(trained: Trained, server: Callable[..., Server], tmp_path: Path) -> None:
    """XGBoost refuses it, and so do we; LightGBM takes it for a missing value."""
    name = real_leads.strings(trained.frame)[0]
    frame = trained.frame.head(2).copy()
    frame.loc[1, name] = "s3cret, never seen"
    rows = tmp_path / "rows.csv"
    frame.to_csv(rows, index=False)
    connection = server(trained.model, sink="none").connect()
    answer = connection.score("a", {name: "s3cret, never seen"})
    missing = connection.score("a", {name: None})
    assert missing.status == 200
    if trained.dtype == np.float32:
        refusal = command.refusal("score", "--output", "margin", "--model", trained.model, rows)
        assert f'row 2 (line 3), column "{name}": "s3cret, never seen" is no category of this feature' in refusal
        fault = answer.json()["error"]["faults"][0]
        assert (answer.status, fault["code"], fault["pointer"]) == (422, "unknown_category", f"/features/{name}")
        assert b"s3cret" not in answer.body
    else:
        frame.loc[1, name] = None
        other = tmp_path / "missing.csv"
        frame.to_csv(other, index=False)
        assert_bit_equal(command.score(trained.model, rows), command.score(trained.model, other), np.float64)
        assert answer.json()["probability"] == missing.json()["probability"]
    connection.close()


def test_the_leads_are_worth_testing_with(trained: Trained) -> None:
    """Many strings, missing ones too, and for LightGBM some that training never saw."""
    frame = trained.frame
    names = real_leads.strings(frame)
    assert len(frame) > 2_900 and len(names) >= 9, (len(frame), names)
    table = trained.model.stem.partition("-")[2]
    assert frame[names].isna().any().any() == (table == "leads")
    if trained.model.stem == "lightgbm-leads":
        train, _ = real_leads.split(real_leads.load(table)[0])
        train.columns = frame.columns
        assert any((~frame[name].dropna().isin(train[name])).any() for name in names)
