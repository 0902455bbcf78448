"""How the connector is to log in: from options, `SNOWFLAKE_…` variables and a secret of Secrets Manager.

Three ways are meant for production: a key pair, OAuth (a token, or client credentials with which the connector asks
for one), and workload identity. A password is taken for a stand-in on this machine only. No message repeats a value.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.exceptions
from cryptography.hazmat.primitives import serialization

from quintile_snowflake.errors import Refused

PLAIN = (
    "account",
    "user",
    "role",
    "warehouse",
    "database",
    "schema",
    "host",
    "port",
    "protocol",
    "authenticator",
)
SECRET = (
    "private_key",
    "private_key_file",
    "private_key_passphrase",
    "token",
    "token_file_path",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_token_request_url",
    "oauth_scope",
    "workload_identity_provider",
    "password",
)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def settings(
    options: Mapping[str, str | None],
    environment: Mapping[str, str],
    secret: str | None,
) -> dict[str, str]:
    """An option wins over a variable, a variable over the secret."""
    found = read_secret(secret) if secret else {}
    found.update({name: value for name in PLAIN + SECRET if (value := environment.get(f"SNOWFLAKE_{name.upper()}"))})
    found.update({name: value for name, value in options.items() if value})
    return found


def read_secret(identifier: str) -> dict[str, str]:
    """A JSON object of settings, by its name or ARN."""
    try:
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=identifier)
        content = json.loads(answer["SecretString"])
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        raise Refused(f"secret {identifier}: {error}") from None
    except (KeyError, ValueError):
        raise Refused(f"secret {identifier}: is not text that is a JSON object") from None
    if not isinstance(content, dict):
        raise Refused(f"secret {identifier}: is not a JSON object")
    unknown = sorted(set(content) - {*PLAIN, *SECRET})
    if unknown:
        raise Refused(f"secret {identifier}: knows no member {unknown[0]!r}; it may have {', '.join(PLAIN + SECRET)}")
    return {name: str(value) for name, value in content.items()}


def arguments(found: Mapping[str, str]) -> dict[str, Any]:
    """What `snowflake.connector.connect` is given."""
    if not found.get("account"):
        raise Refused("account: is not set; give --account, SNOWFLAKE_ACCOUNT or a secret with it")
    for name in ("database", "schema"):
        if not found.get(name):
            raise Refused(f"{name}: is not set; give --{name} or SNOWFLAKE_{name.upper()}")
    plain: dict[str, Any] = {name: found[name] for name in PLAIN if found.get(name)}
    if "port" in plain:
        plain["port"] = _port(found["port"])
    return {**plain, **_login(found)}


def _login(found: Mapping[str, str]) -> dict[str, Any]:
    if found.get("workload_identity_provider"):
        return {
            "authenticator": "WORKLOAD_IDENTITY",
            "workload_identity_provider": found["workload_identity_provider"].upper(),
            **_members(found, "token", "token_file_path"),
        }
    if found.get("private_key") or found.get("private_key_file"):
        return {
            **_need_user(found),
            "authenticator": "SNOWFLAKE_JWT",
            "private_key": _private_key(found),
        }
    if found.get("oauth_client_id"):
        members = _members(
            found,
            "oauth_client_id",
            "oauth_client_secret",
            "oauth_token_request_url",
            "oauth_scope",
        )
        return {
            **_need_user(found),
            "authenticator": "OAUTH_CLIENT_CREDENTIALS",
            **members,
        }
    if found.get("token") or found.get("token_file_path"):
        return {
            "authenticator": "OAUTH",
            "token": found.get("token") or _read(found, "token_file_path").strip(),
        }
    if found.get("password"):
        if found.get("host") not in _LOOPBACK:
            raise Refused(
                "password: is taken for a stand-in on this machine only; "
                "private_key, oauth_client_id, token or workload_identity_provider are accepted"
            )
        return {**_need_user(found), "password": found["password"]}
    raise Refused(
        "there is nothing to log in with; private_key, private_key_file, token, token_file_path, oauth_client_id or "
        "workload_identity_provider are accepted, as SNOWFLAKE_… variables or in the secret"
    )


def _members(found: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: found[name] for name in names if found.get(name)}


def _need_user(found: Mapping[str, str]) -> dict[str, str]:
    if not found.get("user"):
        raise Refused("user: is not set; give --user, SNOWFLAKE_USER or a secret with it")
    return {"user": found["user"]}


def _private_key(found: Mapping[str, str]) -> bytes:
    """DER, as the connector wants it."""
    name = "private_key" if found.get("private_key") else "private_key_file"
    text = found.get("private_key") or _read(found, "private_key_file")
    passphrase = found.get("private_key_passphrase")
    try:
        key = serialization.load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except TypeError:
        said = (
            "needs private_key_passphrase" if not passphrase else "has no passphrase, but private_key_passphrase is set"
        )
        raise Refused(f"{name}: {said}") from None
    except ValueError:
        raise Refused(f"{name}: is not a private key in PEM (PKCS #8), or its passphrase is another one") from None
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read(found: Mapping[str, str], name: str) -> str:
    try:
        with open(found[name], encoding="ascii") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise Refused(f"{name}: {found[name]}: {reason}") from None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise Refused(f"port: {text!r} is not a number from 1 to 65535")
    return int(text)


def from_process(options: Mapping[str, str | None], secret: str | None) -> dict[str, Any]:
    return arguments(settings(options, os.environ, secret))
