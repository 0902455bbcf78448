"""Clients that speak gRPC, unchanged: Triton's own, and gRPC's health check and reflection as tools ask for them."""

import asyncio
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.utils
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from test_clients import FEATURES, KINDS, ROWS, RUNTIMES, Served, assert_equal, rows

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module", params=[(kind, runtime) for kind in KINDS for runtime in RUNTIMES], ids="-".join)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kind, runtime = request.param
    own = Served(kind, runtime, tmp_path_factory.mktemp("clients"))
    with own.server:
        yield own


def tensor(values: NDArray[np.floating]) -> tritonclient.grpc.InferInput:
    datatype = tritonclient.utils.np_to_triton_dtype(values.dtype)
    return tritonclient.grpc.InferInput("input__0", list(values.shape), datatype).set_data_from_numpy(values)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_tritonclient_grpc(served: Served, compression: str | None) -> None:
    client = tritonclient.grpc.InferenceServerClient(served.address)
    outputs = [tritonclient.grpc.InferRequestedOutput(name) for name in ("output__0", "margin")]
    answer = client.infer(
        served.name, [tensor(rows())], outputs=outputs, request_id="7", compression_algorithm=compression
    )
    assert_equal(answer.as_numpy("output__0"), served.expected)
    assert answer.get_response().id == "7"
    many = np.tile(rows(), (150, 1))
    assert many.nbytes > 800_000
    found = client.infer(served.name, [tensor(many)]).as_numpy("predict")
    assert_equal(found, np.tile(served.expected, (150,) + (1,) * (served.expected.ndim - 1)))


def test_contents_of_messages(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        infer = channel.unary_unary(
            SERVICE + "ModelInfer",
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelInferResponse.FromString,
        )
        request = service_pb2.ModelInferRequest(model_name=served.name)
        request.inputs.add(name="x", datatype="FP32", shape=[ROWS, FEATURES]).contents.fp32_contents.extend(
            rows().ravel().tolist()
        )
        answer = infer(request, timeout=20)
        assert answer.raw_output_contents[0] == served.expected.tobytes()
        for change, code in [
            (lambda r: setattr(r, "model_name", "other"), grpc.StatusCode.NOT_FOUND),
            (lambda r: r.raw_input_contents.append(b"abcd"), grpc.StatusCode.INVALID_ARGUMENT),
            (lambda r: setattr(r.inputs[0], "datatype", "FP8"), grpc.StatusCode.INVALID_ARGUMENT),
            (lambda r: r.outputs.add(name="colour"), grpc.StatusCode.INVALID_ARGUMENT),
        ]:
            wrong = service_pb2.ModelInferRequest()
            wrong.CopyFrom(request)
            change(wrong)
            with pytest.raises(grpc.RpcError) as raised:
                infer(wrong, timeout=20)
            assert raised.value.code() == code, raised.value.details()
            assert raised.value.details()
        nothing = channel.unary_unary(SERVICE + "Nothing", lambda body: body, lambda body: body)
        with pytest.raises(grpc.RpcError) as raised:
            nothing(b"", timeout=20)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_tritonclient_grpc_asks_about_server_and_model(served: Served) -> None:
    client = tritonclient.grpc.InferenceServerClient(served.address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(served.name)
    metadata = client.get_model_metadata(served.name)
    assert metadata.inputs[0].shape == [-1, FEATURES]
    assert client.get_model_config(served.name).config.max_batch_size > 0
    assert client.get_model_repository_index().models[0].name == served.name
    assert client.get_inference_statistics(served.name).model_stats[0].name == served.name
    assert client.get_server_metadata().name == "quintile"
    with pytest.raises(tritonclient.utils.InferenceServerException, match="has 2 values"):
        client.infer(served.name, [tensor(rows()[:1, :2])])


def test_tritonclient_grpc_asyncio(served: Served) -> None:
    async def ask() -> NDArray[np.floating]:
        async with tritonclient.grpc.aio.InferenceServerClient(served.address) as client:
            return (await client.infer(served.name, [tensor(rows())])).as_numpy("predict")

    assert_equal(asyncio.run(ask()), served.expected)


def test_health_and_reflection(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", lambda body: body, lambda body: body)
        assert check(b"", timeout=20) == b"\x08\x01"
        name = b"inference.GRPCInferenceService"
        assert check(bytes([0x0A, len(name)]) + name, timeout=20) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as raised:
            check(b"\x0a\x05other", timeout=20)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        for version in ("v1", "v1alpha"):
            path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
            ask = channel.stream_stream(path, lambda body: body, lambda body: body)
            answers = list(ask(iter([b"\x3a\x00", bytes([0x22, len(name)]) + name]), timeout=20))
            assert name in answers[0] and b"grpc.health.v1.Health" in answers[0]
            assert b"ModelInferRequest" in answers[1]
