"""Secrets that Secrets Manager and the Parameter Store have, as moto plays them: API keys and the private key of TLS
come from there, are renewed while the server runs, and stay when AWS does not answer. No secret is ever shown."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import command
from delivery import DEMO
from serving import Server, io_uring_allowed
from stand_in import StandIn

RUNTIMES = ["epoll", pytest.param("glommio", marks=pytest.mark.skipif(not io_uring_allowed(), reason="no io_uring"))]
LEAD = json.dumps({"lead_id": "a", "features": {}}).encode()
OLD = "old-key-do-not-log-0123456789"
NEW = "new-key-do-not-log-0123456789"


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


def served(aws: StandIn, tmp_path: Path, runtime: str = "epoll", **settings: str) -> Server:
    extra = aws.environment(aws__secrets_refresh_seconds="1", **settings)
    return Server(DEMO, tmp_path / "data", runtime=runtime, sink="none", environment=extra)


def score(server: Server, key: str) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    headers = {"Content-Type": "application/json", "x-api-key": key}
    connection.request("POST", "/score", body=LEAD, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def until(what: str, is_so: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"not in 20 s: {what}")


def quiet(server: Server) -> None:
    shown = "\n".join(server.log)
    assert "do-not-log" not in shown, shown


def keys(**named: str) -> str:
    return json.dumps(named)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_api_keys_of_aws_are_renewed_and_stay_without_it(
    aws: StandIn, tmp_path: Path, service: str, runtime: str
) -> None:
    client = aws.client(service)

    def put(text: str) -> None:
        if service == "ssm":
            client.put_parameter(Name="/quintile/keys", Value=text, Type="SecureString", Overwrite=True)
        else:
            client.put_secret_value(SecretId="quintile/keys", SecretString=text)

    if service == "ssm":
        source = "aws-ssm:/quintile/keys"
        put(keys(crm=OLD))
    else:
        source = "aws-secretsmanager:quintile/keys"
        client.create_secret(Name="quintile/keys", SecretString=keys(crm=OLD))
    with served(aws, tmp_path, runtime, auth__api_keys=source) as server:
        assert (score(server, OLD), score(server, NEW)) == (200, 401)
        put(keys(crm=OLD, ops=NEW))
        until("a key that was added", lambda: score(server, NEW) == 200)
        assert score(server, OLD) == 200
        put("nonsense-do-not-log")
        until("the log says what is wrong", lambda: any("is no JSON object" in line for line in server.log))
        assert score(server, NEW) == 200
        put(keys(crm=NEW))
        until("a key that was withdrawn", lambda: score(server, OLD) == 401)
        assert score(server, NEW) == 200
        aws.down()
        time.sleep(3)
        assert score(server, NEW) == 200
        quiet(server)


def test_the_key_of_tls_comes_from_aws(aws: StandIn, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        assert command.run("tls", "self-signed", "--out", folder).returncode == 0
    certificate = tmp_path / "tls.crt"
    certificate.write_bytes((first / "tls.crt").read_bytes())
    client = aws.client("secretsmanager")
    client.create_secret(Name="tls", SecretString=(first / "tls.key").read_text())

    def trusted(folder: Path, server: Server) -> bool:
        context = ssl.create_default_context(cafile=str(folder / "tls.crt"))
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=30)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except ssl.SSLError:
            return False
        finally:
            connection.close()

    settings = {"tls__certificate": str(certificate), "tls__key": "aws-secretsmanager:tls"}
    with served(aws, tmp_path, **settings) as server:
        assert trusted(first, server)
        client.put_secret_value(SecretId="tls", SecretString=(second / "tls.key").read_text())
        # One without the other changes nothing.
        until("the log says so", lambda: any("is not the key of the certificate" in line for line in server.log))
        assert trusted(first, server)
        certificate.write_bytes((second / "tls.crt").read_bytes())
        until("the pair is in force", lambda: trusted(second, server))
        shown = "\n".join(server.log)
        assert "PRIVATE KEY" not in shown and (first / "tls.key").read_text().splitlines()[1] not in shown


def test_what_is_wrong_with_a_secret_is_told_without_it(aws: StandIn, tmp_path: Path) -> None:
    client = aws.client("secretsmanager")
    client.create_secret(Name="short", SecretString=keys(crm="do-not-log"))
    client.create_secret(Name="binary", SecretBinary=b"do-not-log")

    def checked(**settings: str) -> str:
        done = command.run("check", "--model", DEMO, environment=aws.environment(**settings))
        assert done.returncode == 78, done.stderr
        shown = done.stdout + done.stderr
        assert "do-not-log" not in shown, shown
        return shown

    missing = checked(auth__api_keys="aws-secretsmanager:missing")
    assert "auth.api_keys" in missing and "ResourceNotFoundException" in missing, missing
    assert "ParameterNotFound" in checked(auth__api_keys="aws-ssm:/missing")
    assert "24 characters" in checked(auth__api_keys="aws-secretsmanager:short")
    assert "must be a text" in checked(auth__api_keys="aws-secretsmanager:binary")
    assert "tls.key" in checked(tls__certificate=str(tmp_path / "tls.crt"), tls__key="aws-ssm:/missing")
    # A secret where its name belongs.
    assert "aws-secretsmanager:ID" in checked(auth__api_keys=keys(crm=OLD))
    aws.down()
    assert "no answer" in checked(auth__api_keys="aws-secretsmanager:short")


def test_config_show_has_the_name_of_a_secret_alone(aws: StandIn) -> None:
    aws.client("secretsmanager").create_secret(Name="keys", SecretString=keys(crm=OLD))
    done = command.run("config", "show", environment=aws.environment(auth__api_keys="aws-secretsmanager:keys"))
    assert done.returncode == 0, done.stderr
    assert "aws-secretsmanager:keys" in done.stdout and "do-not-log" not in done.stdout
