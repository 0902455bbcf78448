"""Model folders of other servers, made by their own tools where these install, served unchanged and exactly."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from numpy.typing import NDArray

import command
from serving import Server

ROWS = 200
COLUMNS = ["age", "minutes", "paid"]


def leads() -> pd.DataFrame:
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, ROWS),
            "minutes": random.normal(size=ROWS),
            "paid": random.integers(0, 2, ROWS).astype(bool),
        }
    )
    assert list(frame.columns) == COLUMNS
    return frame


def target(frame: pd.DataFrame) -> NDArray[np.int64]:
    return (frame["age"] + frame["minutes"] * 10 > 50).astype(int).to_numpy()


@pytest.fixture(scope="module")
def xgboost_model() -> xgb.Booster:
    frame = leads()
    return xgb.train({"objective": "binary:logistic", "max_depth": 4}, xgb.DMatrix(frame, target(frame)), 10)


@pytest.fixture(scope="module")
def lightgbm_model() -> lgb.Booster:
    frame = leads()
    return lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(frame, target(frame)), 10)


def scored(folder: Path, tmp_path: Path) -> NDArray[np.float64]:
    rows = tmp_path / "rows.csv"
    leads().astype({"paid": int}).to_csv(rows, index=False)
    return command.score(folder, rows, "prediction")[:, 0]


def assert_exact(predictions: NDArray[np.float64], expected: NDArray[np.floating]) -> None:
    assert np.array_equal(predictions, expected.astype(np.float64))


def test_mlflow_folders_of_both_libraries(
    tmp_path: Path, xgboost_model: xgb.Booster, lightgbm_model: lgb.Booster
) -> None:
    import mlflow.lightgbm
    import mlflow.xgboost
    from mlflow.models import infer_signature

    frame = leads()
    signature = infer_signature(frame, target(frame))
    for flavour, model, expected in [
        (mlflow.xgboost, xgboost_model, xgboost_model.predict(xgb.DMatrix(frame))),
        (mlflow.lightgbm, lightgbm_model, lightgbm_model.predict(frame)),
    ]:
        folder = tmp_path / f"leads-{flavour.FLAVOR_NAME}"
        flavour.save_model(model, str(folder), signature=signature, input_example=frame[:2], pip_requirements=[])
        assert_exact(scored(folder, tmp_path), expected)
        told = json.loads(command.run("inspect", folder, "--json").stdout)
        assert told["name"] == folder.name
        kinds = {feature["name"]: feature["kind"] for feature in told["features"]}
        assert kinds == {"age": "integer", "minutes": "number", "paid": "boolean"}


def test_what_a_signature_says_is_demanded(
    tmp_path: Path, xgboost_model: xgb.Booster, server: Callable[..., Server]
) -> None:
    import mlflow.xgboost
    from mlflow.models import infer_signature

    frame = leads()
    folder = tmp_path / "leads"
    mlflow.xgboost.save_model(xgboost_model, str(folder), signature=infer_signature(frame), pip_requirements=[])
    running: Server = server(folder)
    connection = running.connect()
    answer = connection.score("1", {"age": 40, "minutes": None, "paid": True})
    assert answer.status == 200, answer.body
    row = pd.DataFrame({"age": [40], "minutes": [np.nan], "paid": [True]})
    assert answer.json()["probability"] == float(xgboost_model.predict(xgb.DMatrix(row))[0])
    answer = connection.score("1", {"age": 40.5, "minutes": 1, "paid": 2})
    found = {fault["pointer"]: fault["code"] for fault in answer.json()["error"]["faults"]}
    assert (answer.status, found) == (422, {"/features/age": "wrong_form", "/features/paid": "wrong_form"})


def test_a_triton_repository(tmp_path: Path, xgboost_model: xgb.Booster, lightgbm_model: lgb.Booster) -> None:
    # Laid out as the FIL backend's documentation has it.
    for name, model_type, file, save in [
        ("leads", "xgboost_ubj", "xgboost.ubj", xgboost_model.save_model),
        ("others", "xgboost_json", "xgboost.json", xgboost_model.save_model),
        ("light", "lightgbm", "model.txt", lightgbm_model.save_model),
    ]:
        folder = tmp_path / name / "repository" / name
        (folder / "1").mkdir(parents=True)
        (folder / "config.pbtxt").write_text(
            f'backend: "fil"\nmax_batch_size: 1024\ninput [{{ name: "input__0" data_type: TYPE_FP32 dims: [ 3 ] }}]\n'
            f'parameters [{{ key: "model_type" value: {{ string_value: "{model_type}" }} }}]\n'
        )
        save(str(folder / "1" / file))
        frame = leads()
        expected = lightgbm_model.predict(frame) if name == "light" else xgboost_model.predict(xgb.DMatrix(frame))
        assert_exact(scored(folder.parent, tmp_path), expected)
        assert_exact(scored(folder, tmp_path), expected)


def test_an_mlserver_folder(tmp_path: Path, lightgbm_model: lgb.Booster) -> None:
    folder = tmp_path / "leads"
    folder.mkdir()
    lightgbm_model.save_model(str(folder / "model.bst"))
    settings = {"name": "leads", "implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"version": "v7"}}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    assert_exact(scored(folder, tmp_path), lightgbm_model.predict(leads()))
    told = json.loads(command.run("inspect", folder, "--json").stdout)
    assert (told["name"], told["version"]) == ("leads", "v7")


def test_a_sagemaker_archive(tmp_path: Path, xgboost_model: xgb.Booster) -> None:
    # The XGBoost container of SageMaker saves Booster.save_model("xgboost-model"), which is UBJSON since XGBoost 2.1.
    xgboost_model.save_model(tmp_path / "xgboost-model")
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "xgboost-model", "xgboost-model")
    assert_exact(scored(archive, tmp_path), xgboost_model.predict(xgb.DMatrix(leads())))


def test_folders_that_hold_programs_are_refused(tmp_path: Path) -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    frame = leads()
    folder = tmp_path / "pipeline"
    mlflow.sklearn.save_model(
        LogisticRegression(max_iter=1000).fit(frame, target(frame)),
        str(folder),
        serialization_format="cloudpickle",
        pip_requirements=[],
    )
    refusal = command.refusal("inspect", folder)
    assert "MLflow flavours are" in refusal and "mlflow.xgboost.log_model" in refusal
