"""Credentials by the SDK's default chain, as they come on ECS and EKS: the task role's endpoint, a token of a web
identity, a role of a profile. Every service is called with what that gave, and no secret of it is ever logged."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from delivery import DEMO, answered, until
from serving import Server
from stand_in import CREDENTIALS, StandIn

TASK = {"id": "ASIATASKROLEKEY00001", "secret": "task-secret-do-not-log", "token": "task-token-do-not-log"}
GUARD = "task-guard-do-not-log"
WEB = "web-identity-token-do-not-log"
ROLE = "arn:aws:iam::123456789012:role/scorer"


class TaskRole:
    """What 169.254.170.2 is in an ECS task, on a port of this machine."""

    def __init__(self) -> None:
        self.asked = 0
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                allowed = self.headers.get("Authorization") == GUARD and self.path == "/v2/credentials/scorer"
                outer.asked += allowed
                outer.refused += not allowed
                expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * 3600))
                content = {
                    "RoleArn": ROLE,
                    "AccessKeyId": TASK["id"],
                    "SecretAccessKey": TASK["secret"],
                    "Token": TASK["token"],
                    "Expiration": expires,
                }
                body = json.dumps(content if allowed else {"code": "no", "message": "no"}).encode()
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2/credentials/scorer"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="task-role").start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def task_role() -> Iterator[TaskRole]:
    role = TaskRole()
    yield role
    role.stop()


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.create_stream("scores", "lake")
        running.client("s3").create_bucket(Bucket="files")
        running.endpoints["leads"] = lambda body, kind: ("0.5", "text/csv")
        yield running


def calls_with(aws: StandIn, tmp_path: Path, **variables: str) -> tuple[dict[str, set[tuple[str, str]]], Server]:
    """A server without keys of its own calls all three services; the key and token each was called with."""
    environment = aws.environment(
        records__firehose_stream="scores",
        records__s3_url="s3://files/scores",
        records__roll_seconds="0.2",
        scoring__primary="sagemaker",
        scoring__endpoint="leads",
        scoring__deadline_ms="20000",
        log__level="trace",
    )
    environment = {name: value for name, value in environment.items() if name not in CREDENTIALS}
    nowhere = str(tmp_path / "nowhere")
    files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_ENDPOINT_URL_STS": aws.url}
    environment = {**environment, **files, **variables}
    before = len(aws.signed)
    running = Server(DEMO, tmp_path / "data", sink="firehose,s3", environment=environment)
    try:
        answers = answered(running, 20)
        assert {answer["source"] for answer in answers.values()} == {"sagemaker"}
        for sink in ("firehose", "s3"):
            delivered = f'quintile_records_delivered_total{{sink="{sink}"}}'
            until(lambda delivered=delivered: running.metrics()[delivered] == 20, f"{sink} has them")
        running.stop()
    finally:
        running.kill()
    keys: dict[str, set[tuple[str, str]]] = {}
    for service, key, token in aws.signed[before:]:
        keys.setdefault(service, set()).add((key, token))
    return keys, running


def assert_unlogged(running: Server, *secrets: str) -> None:
    text = "\n".join(running.log)
    assert text, "the log has something"
    assert not [secret for secret in secrets if secret in text]


def test_the_role_of_an_ecs_task(aws: StandIn, task_role: TaskRole, tmp_path: Path) -> None:
    keys, running = calls_with(
        aws,
        tmp_path,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=task_role.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN=GUARD,
    )
    expected = {(TASK["id"], TASK["token"])}
    assert keys == {"firehose": expected, "s3": expected, "sagemaker": expected}
    # Kept until they end, by each of the three clients.
    assert task_role.asked == 3 and task_role.refused == 0
    assert_unlogged(running, TASK["secret"], TASK["token"], GUARD)


def test_a_token_file_guards_the_endpoint_as_on_eks(aws: StandIn, task_role: TaskRole, tmp_path: Path) -> None:
    (tmp_path / "guard").write_text(GUARD)
    keys, running = calls_with(
        aws,
        tmp_path,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=task_role.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "guard"),
    )
    expected = {(TASK["id"], TASK["token"])}
    assert keys == {"firehose": expected, "s3": expected, "sagemaker": expected}
    assert_unlogged(running, TASK["secret"], TASK["token"], GUARD)


def test_a_web_identity(aws: StandIn, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(WEB)
    keys, running = calls_with(
        aws,
        tmp_path,
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
        AWS_ROLE_ARN=ROLE,
        AWS_ROLE_SESSION_NAME="leads",
    )
    assert keys.keys() == {"firehose", "s3", "sagemaker"}
    pairs = set.union(*keys.values())
    # Each client has asked STS once.
    assert len(pairs) <= 3 and all(key.startswith("ASIA") and token for key, token in pairs)
    assert_unlogged(running, WEB, *(token for _, token in pairs))


def test_a_profile_takes_a_role_with_the_tasks_keys(aws: StandIn, task_role: TaskRole, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[profile leads]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\n")
    keys, running = calls_with(
        aws,
        tmp_path,
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_PROFILE="leads",
        AWS_CONTAINER_CREDENTIALS_FULL_URI=task_role.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN=GUARD,
    )
    # STS is asked with the task's keys, and the services with what it gives.
    assert keys.pop("sts") == {(TASK["id"], TASK["token"])}
    pairs = set.union(*keys.values())
    assert keys.keys() == {"firehose", "s3", "sagemaker"}
    assert all(key.startswith("ASIA") and key != TASK["id"] and token for key, token in pairs)
    assert_unlogged(running, TASK["secret"], TASK["token"], GUARD, *(token for _, token in pairs))


def test_credentials_that_come_late_lose_nothing(aws: StandIn, task_role: TaskRole, tmp_path: Path) -> None:
    """An endpoint that refuses at first: records wait, and go when it gives keys."""
    (tmp_path / "guard").write_text("wrong")
    environment = aws.environment(records__firehose_stream="scores")
    environment = {name: value for name, value in environment.items() if name not in CREDENTIALS}
    nowhere = str(tmp_path / "nowhere")
    environment |= {
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": task_role.url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "guard"),
    }
    running = Server(DEMO, tmp_path / "data", sink="firehose", environment=environment)
    try:
        answered(running, 30)
        until(lambda: task_role.refused >= 2, "it was asked again")
        (tmp_path / "guard").write_text(GUARD)
        delivered = 'quintile_records_delivered_total{sink="firehose"}'
        until(lambda: running.metrics()[delivered] == 30, "all are delivered")
        running.stop()
    finally:
        running.kill()
