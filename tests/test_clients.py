"""Clients of other servers, unchanged: they get the training library's own numbers, to the last bit."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import lightgbm as lgb
import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils
import xgboost as xgb
from numpy.typing import NDArray

from serving import Server

ROWS = 200
FEATURES = 7
RUNTIMES = ["epoll", "glommio"]


def rows() -> NDArray[np.float32]:
    random = np.random.default_rng(11)
    values = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    return values


def labels(classes: int) -> NDArray[np.int64]:
    return (np.nan_to_num(rows()).sum(axis=1) * 3).astype(np.int64) % classes


def trained(kind: str) -> tuple[str, Any, NDArray[np.floating]]:
    """A file's name, the model and what it predicts for the rows."""
    if kind.startswith("xgboost"):
        matrix = xgb.DMatrix(rows(), labels(3 if kind.endswith("classes") else 2))
        objective: dict[str, Any] = {
            "xgboost-binary": {"objective": "binary:logistic"},
            "xgboost-regression": {"objective": "reg:squarederror"},
            "xgboost-classes": {"objective": "multi:softprob", "num_class": 3},
        }[kind]
        booster = xgb.train(objective, matrix, 12)
        return "model.ubj", booster, booster.predict(xgb.DMatrix(rows()))
    classes = 3 if kind.endswith("classes") else 2
    objective = {"objective": "multiclass", "num_class": 3} if classes == 3 else {"objective": "binary"}
    data = lgb.Dataset(rows().astype(np.float64), labels(classes))
    model = lgb.train({**objective, "verbose": -1, "min_data_in_leaf": 5}, data, 12)
    return "model.txt", model, model.predict(rows().astype(np.float64))


KINDS = ["xgboost-binary", "xgboost-regression", "xgboost-classes", "lightgbm-binary", "lightgbm-classes"]


class Served:
    """A server with one of the models."""

    def __init__(self, kind: str, runtime: str, folder: Path) -> None:
        name, model, self.expected = trained(kind)
        path = folder / name
        model.save_model(path)
        self.kind = kind
        self.name = path.stem
        self.server = Server(path, folder / "data", runtime=runtime, sink="none")
        self.address = f"{self.server.host}:{self.server.port}"


@pytest.fixture(scope="module", params=[(kind, runtime) for kind in KINDS for runtime in RUNTIMES], ids="-".join)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kind, runtime = request.param
    own = Served(kind, runtime, tmp_path_factory.mktemp("clients"))
    with own.server:
        yield own


def assert_equal(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


def post(served: Served, path: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{served.address}{path}", data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritonclient(served: Served, binary: bool, compression: str | None) -> None:
    client = tritonclient.http.InferenceServerClient(served.address)
    tensor = tritonclient.http.InferInput("input__0", [ROWS, FEATURES], "FP32")
    tensor.set_data_from_numpy(rows(), binary_data=binary)
    answer = client.infer(served.name, [tensor], request_compression_algorithm=compression)
    assert_equal(answer.as_numpy("predict"), served.expected)
    wanted = tritonclient.http.InferRequestedOutput("output__0", binary_data=binary)
    answer = client.infer(served.name, [tensor], outputs=[wanted], request_id="7")
    assert_equal(answer.as_numpy("output__0"), served.expected)
    assert answer.get_response()["id"] == "7"


def test_tritonclient_by_name_and_by_every_datatype(served: Served) -> None:
    client = tritonclient.http.InferenceServerClient(served.address)
    features = client.get_model_metadata(served.name)["parameters"]["features"]
    inputs = []
    for column in reversed(range(FEATURES)):
        one = tritonclient.http.InferInput(features[column], [ROWS, 1], "FP64")
        inputs.append(one.set_data_from_numpy(rows()[:, [column]].astype(np.float64)))
    assert_equal(client.infer(served.name, inputs).as_numpy("predict"), served.expected)
    whole = np.round(np.nan_to_num(rows()) * 3).clip(0, 1)
    first = None
    for datatype in [
        "FP64",
        "FP32",
        "FP16",
        "INT64",
        "INT32",
        "INT16",
        "INT8",
        "UINT64",
        "UINT32",
        "UINT16",
        "UINT8",
        "BOOL",
    ]:
        values = whole.astype(tritonclient.utils.triton_to_np_dtype(datatype))
        tensor = tritonclient.http.InferInput("x", [ROWS, FEATURES], datatype).set_data_from_numpy(values)
        found = client.infer(served.name, [tensor]).as_numpy("predict")
        first = found if first is None else first
        assert_equal(found, first)


def test_tritonclient_asks_about_server_and_model(served: Served) -> None:
    client = tritonclient.http.InferenceServerClient(served.address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(served.name)
    assert not client.is_model_ready("other")
    assert client.get_model_config(served.name)["max_batch_size"] > 0
    assert client.get_model_repository_index()[0]["state"] == "READY"
    assert client.get_inference_statistics()["model_stats"][0]["name"] == served.name
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]


def test_tritonclient_prints_our_errors(served: Served) -> None:
    client = tritonclient.http.InferenceServerClient(served.address)
    narrow = tritonclient.http.InferInput("x", [1, 2], "FP32").set_data_from_numpy(rows()[:1, :2])
    for call, part in [
        (lambda: client.infer(served.name, [narrow]), "has 2 values"),
        (lambda: client.infer("other", [narrow]), "no model"),
        (lambda: client.load_model(served.name), "operator"),
        (lambda: client.get_system_shared_memory_status(), "shared memory"),
        (lambda: client.update_log_settings({}), "log settings"),
    ]:
        with pytest.raises(tritonclient.utils.InferenceServerException, match=part) as raised:
            call()
        assert part in str(raised.value)


def test_tritonclient_asyncio(served: Served) -> None:
    async def ask() -> NDArray[np.floating]:
        async with tritonclient.http.aio.InferenceServerClient(served.address) as client:
            tensor = tritonclient.http.InferInput("x", [ROWS, FEATURES], "FP32")
            tensor.set_data_from_numpy(rows(), binary_data=False)
            return (await client.infer(served.name, [tensor])).as_numpy("predict")

    assert_equal(asyncio.run(ask()), served.expected)


def plain(values: NDArray[np.floating]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in values]


def test_kserve_v1_and_mlflow_bodies(served: Served) -> None:
    data = plain(rows())
    for path, body in [
        (f"/v1/models/{served.name}:predict", {"instances": data}),
        ("/invocations", {"inputs": data}),
    ]:
        status, answer = post(served, path, body)
        assert status == 200, answer
        found = np.array(json.loads(answer)["predictions"])
        assert np.array_equal(found, served.expected.astype(np.float64)), path


def test_boto3(served: Served) -> None:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://{served.address}",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=botocore.config.Config(retries={"max_attempts": 0}),
    )
    lines = "\n".join(",".join("" if np.isnan(value) else repr(float(value)) for value in row) for row in rows())
    answer = client.invoke_endpoint(EndpointName="any", ContentType="text/csv", Body=lines)
    assert answer["ContentType"] == "text/csv"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    found = np.loadtxt(answer["Body"].read().decode().splitlines(), delimiter=",")
    assert np.array_equal(found, served.expected.astype(np.float64))
    with pytest.raises(client.exceptions.ModelError) as raised:
        client.invoke_endpoint(EndpointName="any", ContentType="text/csv", Body="1,2")
    assert raised.value.response["OriginalStatusCode"] == 400
    assert "has 2 values" in str(raised.value)


TRITON_CONFIG = """
name: "own"
backend: "fil"
max_batch_size: 8192
input [{ name: "input__0" data_type: TYPE_FP32 dims: [ 7 ] }]
output [{ name: "output__0" data_type: TYPE_FP32 dims: [ 2 ] }]
parameters [
  { key: "model_type" value: { string_value: "xgboost_ubj" } },
  { key: "%s" value: { string_value: "true" } }
]
"""


@pytest.fixture(scope="module")
def classifier() -> xgb.XGBClassifier:
    return xgb.XGBClassifier(n_estimators=12).fit(rows(), labels(2))


def asked(server: Server, name: str, outputs: list[str]) -> dict[str, NDArray[Any]]:
    client = tritonclient.http.InferenceServerClient(f"{server.host}:{server.port}")
    tensor = tritonclient.http.InferInput("x", [ROWS, FEATURES], "FP32").set_data_from_numpy(rows())
    wanted = [tritonclient.http.InferRequestedOutput(output) for output in outputs]
    answer = client.infer(name, [tensor], outputs=wanted or None)
    return {output["name"]: answer.as_numpy(output["name"]) for output in answer.get_response()["outputs"]}


def test_a_folder_of_mlserver_answers_as_it(classifier: xgb.XGBClassifier, tmp_path: Path) -> None:
    classifier.save_model(tmp_path / "model.ubj")
    settings = {
        "name": "own",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": "./model.ubj", "version": "v3"},
    }
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    with Server(tmp_path, tmp_path / "data", sink="none") as server:
        found = asked(server, "own", ["predict", "predict_proba"])
        assert_equal(found["predict"], classifier.predict(rows()).astype(np.int64).reshape(-1, 1))
        assert_equal(found["predict_proba"], classifier.predict_proba(rows()))
    classifier.get_booster().set_attr(scikit_learn=None)
    classifier.get_booster().save_model(tmp_path / "model.ubj")
    with Server(tmp_path, tmp_path / "data", sink="none") as server:
        expected = classifier.predict_proba(rows())[:, [1]]
        assert_equal(asked(server, "own", [])["predict"], np.ascontiguousarray(expected))


@pytest.mark.parametrize("parameter", ["predict_proba", "output_class"])
def test_a_folder_of_triton_answers_as_it(classifier: xgb.XGBClassifier, parameter: str, tmp_path: Path) -> None:
    (tmp_path / "own" / "1").mkdir(parents=True)
    classifier.save_model(tmp_path / "own" / "1" / "xgboost.ubj")
    (tmp_path / "own" / "config.pbtxt").write_text(TRITON_CONFIG % parameter)
    with Server(tmp_path / "own", tmp_path / "data", sink="none") as server:
        found = asked(server, "own", [])["output__0"]
        if parameter == "predict_proba":
            assert_equal(found, classifier.predict_proba(rows()))
        else:
            assert_equal(found, classifier.predict(rows()).astype(np.float32))


@pytest.mark.parametrize("kind", ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"])
def test_a_folder_of_mlflow_answers_as_it(classifier: xgb.XGBClassifier, kind: str, tmp_path: Path) -> None:
    classifier.save_model(tmp_path / "model.ubj")
    (tmp_path / "MLmodel").write_text(f"flavors:\n  xgboost:\n    data: model.ubj\n    model_class: {kind}\n")
    expected = classifier.predict(rows()) if "sklearn" in kind else classifier.predict_proba(rows())[:, 1]
    with Server(tmp_path, tmp_path / "data", sink="none") as server:
        connection = server.connect()
        body = json.dumps({"instances": plain(rows())}).encode()
        answer = connection.request("POST", "/invocations", body, Content_Type="application/json")
        assert answer.status == 200, answer.body
        assert answer.json()["predictions"] == expected.astype(np.float64).tolist()
        refused = connection.request("POST", "/invocations", b"[[1]]", Content_Type="application/json")
        assert refused.status == 400
        assert refused.json()["error_code"] == "BAD_REQUEST"
        connection.close()
