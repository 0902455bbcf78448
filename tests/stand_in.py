"""AWS on this machine: moto's server behind a wrapper that is as strict as the services, and fails on demand.

moto alone is too kind to test against: it takes 501 records in one call and records of any size, answers for endpoints
that nobody made, and never fails. The wrapper enforces Firehose's documented limits, knows which SageMaker endpoints
exist and lets a model answer for them, and plays faults: `StandIn.fault` for whole calls, `StandIn.refuse` for single
records of a batch.

As a program (`python stand_in.py --fast [PORT]`) it answers PutRecordBatch at once, without moto: for measuring.
"""

import base64
import io
import json
import re
import socket
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

REGION = "us-east-1"
# Not AWS's, and easy to find in a log where it must not be.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing-key-id", "AWS_SECRET_ACCESS_KEY": "testing-secret-do-not-log"}

# https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html
RECORDS_MAX = 500
BATCH_BYTES_MAX = 4 << 20
RECORD_BYTES_MAX = 1000 << 10

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """One call as the wrapper saw it, from 0 for each service."""

    service: str
    number: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call: it is late, answered with an error, or its connection is reset. `done` says whether
    the service does its work all the same, as when only the answer is lost."""

    status: int = 0
    code: str = ""
    message: str = "on purpose"
    delay_s: float = 0.0
    reset: bool = False
    done: bool = False


THROTTLED = Fault(status=503, code="ServiceUnavailableException", message="Slow down.")
BROKEN = Fault(status=500, code="InternalFailure")
RESET = Fault(reset=True)
ANSWER_LOST = Fault(reset=True, done=True)


class Refusal(Exception):
    """The service's own answer to a call that breaks its rules."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class StandIn:
    """A running stand-in. Attributes may be changed while it runs."""

    def __init__(self, fast: bool = False, port: int = 0) -> None:
        self.fault: Callable[[Call], Fault | None] = lambda call: None
        self.refuse: Callable[[int, bytes], str | None] = lambda number, data: None
        self.endpoints: dict[str, Callable[[bytes, str], tuple[str, str]]] = {}
        self.calls: list[Call] = []
        # Of every signed call: the service, the access key's id, the session's token.
        self.signed: list[tuple[str, str, str]] = []
        self.delivered: list[bytes] = []
        self.batches: list[int] = []
        self.records_seen = 0
        self._fast = fast
        self._moto = None if fast else DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self.is_up = False
        self.port = port
        if self._moto:
            # moto's state is the process's.
            self._ask_moto(plain_post("/moto-api/reset", b""), b"")
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listens, on the same port as before."""
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True, request_handler=Handler)
        self.port = self._server.server_port
        self.is_up = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stand-in", daemon=True)
        self._thread.start()

    def down(self) -> None:
        """Refuses connections, and resets those that are open at their next call."""
        self.is_up = False
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_up:
            self.down()

    def client(self, service: str) -> Any:
        """boto3's client, which asks once: what repeats is what is tested."""
        keys = {name.lower(): value for name, value in CREDENTIALS.items()}
        once = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, region_name=REGION, endpoint_url=self.url, config=once, **keys)

    def create_stream(self, name: str, bucket: str) -> None:
        """A delivery stream whose records moto puts into a bucket."""
        self.client("s3").create_bucket(Bucket=bucket)
        place = {"RoleARN": "arn:aws:iam::123456789012:role/firehose", "BucketARN": f"arn:aws:s3:::{bucket}"}
        self.client("firehose").create_delivery_stream(
            DeliveryStreamName=name, DeliveryStreamType="DirectPut", ExtendedS3DestinationConfiguration=place
        )

    def environment(self, **settings: str) -> dict[str, str]:
        """What a server needs to come here: `records__s3_url="…"` becomes `QUINTILE_RECORDS__S3_URL`."""
        ours = {f"QUINTILE_{name.upper()}": value for name, value in settings.items()}
        place = {"AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "QUINTILE_AWS__ENDPOINT": self.url}
        return {**CREDENTIALS, **place, **ours}

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Everything in a bucket, by key."""
        client = self.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def rows(self, bucket: str) -> list[dict[str, Any]]:
        """The records that Firehose has put into a bucket; each must be a line of its own."""
        lines = [line for content in self.objects(bucket).values() for line in content.splitlines(keepends=True)]
        assert all(line.endswith(b"\n") for line in lines), "a record without a newline"
        return [json.loads(line) for line in lines]

    def _answer(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if not self.is_up:
            return reset(environ)
        self._note_signature(environ)
        service = service_of(environ)
        if not service:
            return self._moto(environ, start) if self._moto else error(start, Refusal("UnknownOperation", "fast"))
        body = read_body(environ)
        if self._fast:
            count = body.count(b'"Data"')
            self.records_seen += count
            done = b'{"RecordId":"0"},' * count
            return reply(start, 200, b'{"FailedPutCount":0,"RequestResponses":[' + done[:-1] + b"]}")
        with self._lock:
            number = sum(1 for call in self.calls if call.service == service)
            call = Call(service, number, body, headers_of(environ))
            self.calls.append(call)
        fault = self.fault(call) or Fault()
        time.sleep(fault.delay_s)
        if (fault.reset or fault.status) and not fault.done:
            return reset(environ) if fault.reset else error(start, Refusal(fault.code, fault.message, fault.status))
        try:
            answer = self._put(environ, body) if service == "firehose" else self._invoke(environ, body)
        except Refusal as refusal:
            return error(start, refusal)
        if fault.reset:
            return reset(environ)
        return reply(start, *answer)

    def _note_signature(self, environ: Environ) -> None:
        signed = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if signed and signed[1] != CREDENTIALS["AWS_ACCESS_KEY_ID"]:
            self.signed.append((signed[2], signed[1], environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")))

    def _put(self, environ: Environ, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        records = request["Records"]
        data = [base64.b64decode(record["Data"], validate=True) for record in records]
        check_limits(data)
        with self._lock:
            first = self.records_seen
            self.records_seen += len(data)
        codes = [self.refuse(first + index, record) for index, record in enumerate(data)]
        taken = [record for record, code in zip(records, codes, strict=True) if code is None]
        accepted: list[dict[str, Any]] = []
        if taken:
            status, content = self._ask_moto(environ, json.dumps({**request, "Records": taken}).encode())
            if status != 200:
                return status, content
            accepted = json.loads(content)["RequestResponses"]
        with self._lock:
            self.batches.append(len(data))
            self.delivered += [record for record, code in zip(data, codes, strict=True) if code is None]
        left = iter(accepted)
        responses = [
            {"ErrorCode": code, "ErrorMessage": "on purpose"} if code else {"RecordId": next(left)["RecordId"]}
            for code in codes
        ]
        failed = sum(code is not None for code in codes)
        answer = {"FailedPutCount": failed, "Encrypted": False, "RequestResponses": responses}
        return 200, json.dumps(answer).encode()

    def _invoke(self, environ: Environ, body: bytes) -> tuple[int, bytes, str]:
        name = environ["PATH_INFO"].split("/")[2]
        answer = self.endpoints.get(name)
        if answer is None:
            raise Refusal("ValidationError", f"Endpoint {name} of account 123456789012 not found.")
        text, kind = answer(body, environ.get("CONTENT_TYPE", ""))
        # moto answers what is queued, first come, first served: this call's answer must be its own.
        environ["HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID"] = str(uuid.uuid4())
        with self._lock:
            queued = json.dumps({"results": [{"Body": text, "ContentType": kind}]}).encode()
            path = "/moto-api/static/sagemaker/endpoint-results"
            status, _ = self._ask_moto(plain_post(path, queued), queued)
            assert status == 201, status
            status, content = self._ask_moto(environ, body)
        return status, content, kind

    def _ask_moto(self, environ: Environ, body: bytes) -> tuple[int, bytes]:
        assert self._moto is not None
        seen: list[int] = []
        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        content = self._moto(inner, lambda status, headers, *_: seen.append(int(status.split()[0])))
        return seen[0] if seen else 500, b"".join(content)


class Handler(MotoRequestHandler):
    """Keeps connections open, as AWS does, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


def service_of(environ: Environ) -> str | None:
    if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".PutRecordBatch"):
        return "firehose"
    is_call = re.fullmatch(r"/endpoints/[^/]+/invocations", environ["PATH_INFO"])
    return "sagemaker" if is_call else None


def check_limits(data: list[bytes]) -> None:
    if not 1 <= len(data) <= RECORDS_MAX:
        raise Refusal("ValidationException", f"Member must have length less than or equal to {RECORDS_MAX}")
    for index, record in enumerate(data):
        if len(record) > RECORD_BYTES_MAX:
            place = f"records.{index + 1}.member.data"
            raise Refusal(
                "ValidationException", f"{place}: Member must have length less than or equal to {RECORD_BYTES_MAX}"
            )
    if sum(map(len, data)) > BATCH_BYTES_MAX:
        raise Refusal("InvalidArgumentException", "Records size exceeds 4 MB limit")


def read_body(environ: Environ) -> bytes:
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def headers_of(environ: Environ) -> dict[str, str]:
    headers = {key[5:].replace("_", "-").lower(): str(v) for key, v in environ.items() if key.startswith("HTTP_")}
    return {**headers, "content-type": environ.get("CONTENT_TYPE", "")}


def plain_post(path: str, body: bytes) -> Environ:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def reply(start: StartResponse, status: int, body: bytes, kind: str = "application/x-amz-json-1.1") -> list[bytes]:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start(f"{status} STATUS", headers)
    return [body]


def error(start: StartResponse, refusal: Refusal) -> list[bytes]:
    body = json.dumps({"__type": refusal.code, "message": refusal.message, "Message": refusal.message}).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start(f"{refusal.status} STATUS", [*headers, ("x-amzn-ErrorType", refusal.code)])
    return [body]


def reset(environ: Environ) -> list[bytes]:
    """Ends the connection as a crash does: with a reset instead of a close."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The handler sees the end of what it reads and closes: only then is the descriptor unused.
    connection.shutdown(socket.SHUT_RD)
    raise ConnectionResetError("on purpose")


if __name__ == "__main__":
    running = StandIn(fast="--fast" in sys.argv[1:], port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(running.port, flush=True)
    sys.stdin.read()
    print(running.records_seen, flush=True)
