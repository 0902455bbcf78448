"""How `quintile-snowflake` logs in, and what it says when it may not. No message repeats a secret."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stand_in import CREDENTIALS, REGION, StandIn
from warehouse import ids, records, run, summary, write
from warehouse_stand_in import PASSWORD, Warehouse

PASSPHRASE = "passphrase-do-not-log"
TOKEN = "token-do-not-log"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("login") / "snowflake") as running:
        running.create_scores()
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "scores", records(ids(3)))
    return tmp_path / "scores"


def pem(key: rsa.RSAPrivateKey, passphrase: str | None = None) -> str:
    locked = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked).decode()


def public(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def environment(warehouse: Warehouse, **more: str) -> dict[str, str]:
    """Everything but what to log in with."""
    plain = warehouse.environment()
    del plain["SNOWFLAKE_PASSWORD"]
    return {**plain, **more}


def assert_in(done: Any) -> None:
    assert done.returncode == 0, done.stderr
    assert summary(done)[3] == 0


def assert_out(done: Any, said: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    for secret in (PASSWORD, PASSPHRASE, TOKEN, "BEGIN", CREDENTIALS["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.stderr


def test_a_key_pair(warehouse: Warehouse, folder: Path, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    warehouse.allow(public_key=public(key), issuer="ORG-ACCOUNT.LOADER")
    assert_in(run(environment(warehouse, SNOWFLAKE_PRIVATE_KEY=pem(key)), "load", folder))
    locked = tmp_path / "key.p8"
    locked.write_text(pem(key, PASSPHRASE))
    file = {"SNOWFLAKE_PRIVATE_KEY_FILE": str(locked)}
    assert_in(run(environment(warehouse, **file, SNOWFLAKE_PRIVATE_KEY_PASSPHRASE=PASSPHRASE), "load", folder))
    assert_out(run(environment(warehouse, **file), "load", folder), "needs private_key_passphrase")
    wrong = environment(warehouse, **file, SNOWFLAKE_PRIVATE_KEY_PASSPHRASE="another")
    assert_out(run(wrong, "load", folder), "its passphrase is another one")
    no_key = environment(warehouse, SNOWFLAKE_PRIVATE_KEY="-----BEGIN nonsense")
    assert_out(run(no_key, "load", folder), "private_key: is not a private key in PEM")
    absent = environment(warehouse, SNOWFLAKE_PRIVATE_KEY_FILE=str(tmp_path / "none"))
    assert_out(run(absent, "load", folder), "No such file")


def test_another_key_is_refused(warehouse: Warehouse, folder: Path, key: rsa.RSAPrivateKey) -> None:
    warehouse.allow(public_key=public(key), issuer="ORG-ACCOUNT.LOADER")
    other = pem(rsa.generate_private_key(65537, 2048))
    assert_out(run(environment(warehouse, SNOWFLAKE_PRIVATE_KEY=other), "load", folder), "JWT token is invalid")
    somebody = environment(warehouse, SNOWFLAKE_PRIVATE_KEY=pem(key), SNOWFLAKE_USER="SOMEBODY")
    assert_out(run(somebody, "load", folder), "JWT token is invalid")
    read = run(somebody, "read", "--query", "SELECT 1", "--out", folder / "rows.parquet")
    assert_out(read, "JWT token is invalid")


def test_a_token(warehouse: Warehouse, folder: Path, tmp_path: Path) -> None:
    warehouse.allow(token=TOKEN)
    assert_in(run(environment(warehouse, SNOWFLAKE_TOKEN=TOKEN), "load", folder))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert_in(run(environment(warehouse, SNOWFLAKE_TOKEN_FILE_PATH=str(tmp_path / "token")), "load", folder))
    assert_out(run(environment(warehouse, SNOWFLAKE_TOKEN="another"), "load", folder), "Invalid OAuth access token")


def test_client_credentials(warehouse: Warehouse, folder: Path) -> None:
    warehouse.allow(token=TOKEN)
    asked: list[tuple[str | None, bytes]] = []

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 600}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        oauth = {
            "SNOWFLAKE_OAUTH_CLIENT_ID": "quintile",
            "SNOWFLAKE_OAUTH_CLIENT_SECRET": "client-secret",
            "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": f"http://127.0.0.1:{issuer.server_port}/token",
            "SNOWFLAKE_OAUTH_SCOPE": "session:role:LOADER",
        }
        assert_in(run(environment(warehouse, **oauth), "load", folder))
        issuer.shutdown()
    assert len(asked) == 1 and b"grant_type=client_credentials" in asked[0][1]


def test_workload_identity(warehouse: Warehouse, folder: Path) -> None:
    warehouse.allow(aws_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"])
    aws = {**CREDENTIALS, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    identity = environment(warehouse, **aws, SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER="aws")
    del identity["SNOWFLAKE_USER"]
    assert_in(run(identity, "load", folder))
    other = {**identity, "AWS_ACCESS_KEY_ID": "somebody-else"}
    assert_out(run(other, "load", folder), "Workload identity is not known")


def test_a_secret_of_secrets_manager(warehouse: Warehouse, folder: Path, key: rsa.RSAPrivateKey) -> None:
    warehouse.allow(public_key=public(key), issuer="ORG-ACCOUNT.LOADER")
    with StandIn() as aws:
        place = {name.removeprefix("SNOWFLAKE_").lower(): value for name, value in warehouse.place().items()}
        content = {**place, "user": "LOADER", "private_key": pem(key, PASSPHRASE), "private_key_passphrase": PASSPHRASE}
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="quintile/snowflake", SecretString=json.dumps(content))
        secrets.create_secret(Name="quintile/strange", SecretString=json.dumps({**content, "passwort": "x"}))
        secrets.create_secret(Name="quintile/list", SecretString="[1]")
        secrets.create_secret(Name="quintile/text", SecretString="not JSON")
        known = environment(warehouse, **CREDENTIALS, AWS_DEFAULT_REGION=REGION, AWS_ENDPOINT_URL=aws.url)
        bare = {name: value for name, value in known.items() if not name.startswith("SNOWFLAKE_")}
        assert_in(run(bare, "load", folder, "--secret", "quintile/snowflake"))
        assert_out(run(bare, "load", folder, "--secret", "quintile/none"), "secret quintile/none: ")
        assert_out(run(bare, "load", folder, "--secret", "quintile/strange"), "knows no member 'passwort'")
        assert_out(run(bare, "load", folder, "--secret", "quintile/list"), "is not a JSON object")
        assert_out(run(bare, "load", folder, "--secret", "quintile/text"), "is not text that is a JSON object")
        somebody = run(bare, "load", folder, "--secret", "quintile/snowflake", "--user", "SOMEBODY")
        assert_out(somebody, "JWT token is invalid")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SNOWFLAKE_ACCOUNT": ""}, "account: is not set"),
        ({"SNOWFLAKE_DATABASE": ""}, "database: is not set"),
        ({"SNOWFLAKE_PORT": "many"}, "port: 'many' is not a number"),
        ({}, "there is nothing to log in with"),
        ({"SNOWFLAKE_PASSWORD": "another"}, "Incorrect username or password"),
        ({"SNOWFLAKE_PASSWORD": PASSWORD, "SNOWFLAKE_HOST": "example.com"}, "a stand-in on this machine only"),
        ({"SNOWFLAKE_PASSWORD": PASSWORD, "SNOWFLAKE_USER": ""}, "user: is not set"),
        ({"SNOWFLAKE_PRIVATE_KEY": "x", "SNOWFLAKE_USER": ""}, "user: is not set"),
    ],
)
def test_settings_that_do_not_do(warehouse: Warehouse, folder: Path, change: dict[str, str], said: str) -> None:
    assert_out(run(environment(warehouse, **change), "load", folder), said)
