"""Snowflake on this machine: fakesnow's server behind a wrapper that checks logins and fails on demand.

fakesnow lets everybody in, keeps everything in memory and never fails. The wrapper checks key pairs, tokens and
workload identities as Snowflake does, and holds or fails the statement that a test names.

As a program (`python warehouse_stand_in.py PORT FOLDER`) it serves; `Warehouse` starts it and talks to it through files
of FOLDER: `logins.json` says who may log in, `fault.json` what is to go wrong, `held` says that a statement is held.
"""

import asyncio
import base64
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import snowflake.connector
from snowflake.connector import SnowflakeConnection

import command

START_S = 30
POLL_S = 0.01
# Not Snowflake's, and easy to find in output where it must not be.
PASSWORD = "warehouse-secret-do-not-log"

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Warehouse:
    """A running stand-in with an empty schema DB.S."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.allow(password=PASSWORD)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = (folder / "log").open("wb")
        words = [sys.executable, __file__, str(self.port), str(folder)]
        self._process = subprocess.Popen(words, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            self._wait_ready()
            self.execute("CREATE DATABASE IF NOT EXISTS DB")
            self.execute("CREATE SCHEMA IF NOT EXISTS DB.S")
        except BaseException:
            self.close()
            raise

    def allow(self, **logins: str) -> None:
        """Who may log in: `password`, `token`, `public_key` with `issuer`, `aws_key_id`."""
        self._write("logins.json", {"password": PASSWORD, **logins})

    def fault(self, statement: str, **what: Any) -> None:
        """What a statement that matches meets, after `skip` others: `hold="before"` or `"after"` its execution, or an
        `error`."""
        self._write("fault.json", {"statement": statement, "skip": 0, **what})

    def release(self) -> None:
        """Lets a held statement go on."""
        (self.folder / "held").unlink()

    def wait_held(self, process: subprocess.Popen[Any]) -> None:
        """Until a statement is held; the process that sends it must not have ended."""
        until = time.monotonic() + START_S
        while not (self.folder / "held").exists():
            assert process.poll() is None, "the program ended before the statement came"
            assert time.monotonic() < until, "the statement never came"
            time.sleep(POLL_S)

    def environment(self, **more: str) -> dict[str, str]:
        """For a program that is to log in with the password."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("SNOWFLAKE_")}
        return {**known, **self.place(), "SNOWFLAKE_USER": "LOADER", "SNOWFLAKE_PASSWORD": PASSWORD, **more}

    def place(self) -> dict[str, str]:
        return {
            "SNOWFLAKE_ACCOUNT": "ORG-ACCOUNT",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
            "SNOWFLAKE_DATABASE": "DB",
            "SNOWFLAKE_SCHEMA": "S",
        }

    def connect(self) -> SnowflakeConnection:
        return snowflake.connector.connect(
            user="TESTER",
            password=PASSWORD,
            account="ORG-ACCOUNT",
            host="127.0.0.1",
            port=self.port,
            protocol="http",
            database="DB",
            schema="S",
        )

    def execute(self, statement: str) -> list[Any]:
        with self.connect() as connection:
            return list(connection.cursor().execute(statement).fetchall())

    def create_scores(self, model: Path | None = None) -> None:
        """The table that `quintile records schema --format snowflake` prints, as it is printed."""
        words: list[object] = ["records", "schema", "--format", "snowflake"]
        if model is not None:
            words += ["--model", model]
        done = command.run(*words)
        assert done.returncode == 0, done.stderr
        self.execute(done.stdout.strip().removesuffix(";"))

    def reset(self) -> None:
        """Back to an empty schema."""
        tables = self.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'S'")
        for (name,) in tables:
            self.execute(f'DROP TABLE "{name}"')
        for name in ("fault.json", "held"):
            (self.folder / name).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        return [row[0] for row in self.execute("SELECT RECORD_ID FROM SCORES ORDER BY RECORD_ID")]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        temporary = self.folder / f".{name}"
        temporary.write_text(json.dumps(content))
        temporary.replace(self.folder / name)

    def _wait_ready(self) -> None:
        until = time.monotonic() + START_S
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until, "fakesnow does not listen"
                time.sleep(POLL_S)


class Wrapper:
    """An ASGI application before fakesnow's."""

    def __init__(self, inner: Application, folder: Path) -> None:
        self._inner = inner
        self._folder = folder

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body = await _body(receive)
        if scope["path"] == "/session/v1/login-request":
            refusal = self._refusal(json.loads(_plain(scope, body))["data"])
            if refusal is not None:
                await _answer(send, {"data": None, "success": False, **refusal})
                return
        fault = self._fault(scope, body)
        if fault and "error" in fault:
            await _answer(send, {"data": {"sqlState": "57P03"}, "success": False, **fault["error"]})
            return
        if fault and fault["hold"] == "before":
            await self._hold()
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._inner(scope, _replayed(body), keep)
        if fault and fault["hold"] == "after":
            await self._hold()
        if answer[0]["status"] == 500:
            # fakesnow's way to say that DuckDB cannot read a file, which the connector would ask again for minutes.
            said = b"".join(message.get("body", b"") for message in answer)
            text = json.loads(said)["message"][-500:]
            await _answer(send, {"data": {"sqlState": "22000"}, "success": False, **_said("100069", text)})
            return
        for message in answer:
            await send(message)

    async def _hold(self) -> None:
        (self._folder / "held").touch()
        while (self._folder / "held").exists():
            await asyncio.sleep(POLL_S)

    def _fault(self, scope: Message, body: bytes) -> Message:
        path = self._folder / "fault.json"
        if scope["path"] != "/queries/v1/query-request" or not path.exists():
            return {}
        fault: Message = json.loads(path.read_text())
        statement = json.loads(_plain(scope, body))["sqlText"]
        if not re.match(fault["statement"], statement):
            return {}
        if fault["skip"]:
            path.write_text(json.dumps({**fault, "skip": fault["skip"] - 1}))
            return {}
        path.unlink()  # it meets one statement
        return fault

    def _refusal(self, login: Message) -> Message | None:
        """What Snowflake answers to a login that is wrong."""
        known = json.loads((self._folder / "logins.json").read_text())
        match login.get("AUTHENTICATOR", "SNOWFLAKE"):
            case "SNOWFLAKE_JWT":
                return None if _is_signed(login["TOKEN"], known) else _said("390144", "JWT token is invalid.")
            case "OAUTH" | "OAUTH_CLIENT_CREDENTIALS":
                wrong = _said("390303", "Invalid OAuth access token.")
                return None if "token" in known and login["TOKEN"] == known["token"] else wrong
            case "WORKLOAD_IDENTITY":
                wrong = _said("390144", "Workload identity is not known.")
                return None if _is_from_aws(login, known) else wrong
            case _:
                wrong = _said("390100", "Incorrect username or password was specified.")
                return None if login.get("PASSWORD") == known["password"] else wrong


def _said(code: str, message: str) -> Message:
    return {"code": code, "message": message}


def _is_signed(token: str, known: Mapping[str, str]) -> bool:
    import jwt

    try:
        claims = jwt.decode(token, known["public_key"], algorithms=["RS256"])
    except (KeyError, jwt.InvalidTokenError):
        return False
    return bool(claims["iss"].startswith(known["issuer"] + ".SHA256:")) and claims["sub"] == known["issuer"]


def _is_from_aws(login: Message, known: Mapping[str, str]) -> bool:
    """The token holds a signed call of GetCallerIdentity, which Snowflake would make; here its signer is looked at."""
    if login.get("PROVIDER") != "AWS" or "aws_key_id" not in known:
        return False
    call = json.loads(base64.b64decode(login["TOKEN"]))
    authorization = {name.lower(): value for name, value in call["headers"].items()}["authorization"]
    return "Action=GetCallerIdentity" in call["url"] and f"Credential={known['aws_key_id']}/" in authorization


def _plain(scope: Message, body: bytes) -> bytes:
    zipped = (b"content-encoding", b"gzip") in [(name.lower(), value) for name, value in scope["headers"]]
    return gzip.decompress(body) if zipped else body


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytes) -> Receive:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()  # nothing more comes
        raise AssertionError

    return receive


async def _answer(send: Send, content: Message) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _serve(port: int, folder: Path) -> None:
    import fakesnow.server
    import uvicorn

    parent = os.getppid()

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    wrapper = Wrapper(fakesnow.server.app, folder)
    uvicorn.run(wrapper, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
