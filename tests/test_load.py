"""`load/`: the leads that both scripts make, k6's script as far as node can tell, and Locust against a server."""

import json
import os
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
import trustme

import command
import terraform
from serving import Server
from terraform import ROOT

LOAD = ROOT / "load"
FIXTURES = ROOT / "model/tests/fixtures"
# The demo, one with categories by name, one with a manifest of its own.
MODELS = [None, FIXTURES / "category-names.json"]
LEADS = 500

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="K6'S SCRIPT IS NOT CHECKED: there is no node")


def openapi(model: Path | None) -> dict[str, Any]:
    words = [model] if model else []
    done = command.run("openapi", *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def schema(document: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """`POST /score`'s body, with the components that it refers to."""
    return jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Lead", "components": document["components"]})


def from_python(document: dict[str, Any], _: Path) -> list[dict[str, Any]]:
    sys.path.insert(0, str(LOAD))
    from leads import Leads

    made = Leads(document, seed=7)
    return [made.lead(f"lead-{number}") for number in range(LEADS)]


def from_javascript(document: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    done = terraform.run("node", LOAD / "print_leads.mjs", path, LEADS)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem if model else "demo")
@pytest.mark.parametrize("maker", [from_python, pytest.param(from_javascript, marks=needs_node)])
def test_leads_fit_what_the_server_says(
    maker: Callable[[dict[str, Any], Path], list[dict[str, Any]]],
    model: Path | None,
    server: Callable[..., Server],
    tmp_path: Path,
) -> None:
    document = openapi(model)
    leads = maker(document, tmp_path)
    validator = schema(document)
    for lead in leads:
        validator.validate(lead)
    assert len({lead["lead_id"] for lead in leads}) == LEADS
    given = [len(lead["features"]) for lead in leads]
    missing = [value for lead in leads for value in lead["features"].values() if value is None]
    assert min(given) < max(given) and missing, "some values are left out, and some are null"
    running = server(model)
    connection = running.connect()
    for lead in leads[:100]:
        answer = connection.score(lead["lead_id"], lead["features"])
        assert answer.status == 200, answer.body
    connection.close()
    running.stop()


@needs_node
def test_the_script_of_k6_is_javascript(tmp_path: Path) -> None:
    """k6 itself is not to be had here: node reads the script, and what it decides without k6's modules."""
    script = (LOAD / "score.js").read_text()
    module = tmp_path / "score.mjs"
    module.write_text(script)
    assert terraform.run("node", "--check", module).returncode == 0
    # Stand-ins that answer nothing are enough to read the options.
    for name in ("k6/http", "k6/encoding", "k6", "k6/execution"):
        script = script.replace(f'from "{name}"', 'from "./k6.mjs"')
    module.write_text(script + "\nconsole.log(JSON.stringify(options));\n")
    (tmp_path / "k6.mjs").write_text("export default {}; export const check = 0, fail = 0;\n")
    shutil.copy(LOAD / "leads.mjs", tmp_path)
    head = "globalThis.__ENV = process.env; globalThis.open = (path) => path; await import('./score.mjs');"
    done = terraform.run(
        *["node", "--input-type=module", "-e", head],
        folder=tmp_path,
        environment={"RATE": "300", "BATCH_RATE": "2", "CERT": "c.pem", "KEY": "k.pem"},
    )
    assert done.returncode == 0, done.stderr
    options = json.loads(done.stdout)
    assert options["scenarios"]["score"]["executor"] == "constant-arrival-rate"
    assert options["scenarios"]["score"]["rate"] == 300
    assert options["scenarios"]["batch"]["rate"] == 2
    assert options["thresholds"]["http_req_duration{route:/score}"] == ["p(99)<1000"]
    assert options["thresholds"]["http_reqs{route:/score}"] == ["rate>=297"]
    assert options["tlsAuth"] == [{"cert": "c.pem", "key": "k.pem"}]


@pytest.fixture
def running(server: Callable[..., Server]) -> Iterator[Server]:
    one = server(None)
    yield one
    one.stop()


def locust(host: str, users: int, **settings: str) -> Any:
    return terraform.run(
        *[terraform.tool("locust"), "--locustfile", LOAD / "locustfile.py", "--host", host, "--headless"],
        *["--users", users, "--spawn-rate", users, "--run-time", "5s", "--stop-timeout", "5", "--only-summary"],
        environment={**settings, "PYTHONPATH": os.pathsep.join([str(LOAD), os.environ.get("PYTHONPATH", "")])},
    )


def test_locust(running: Server) -> None:
    done = locust(f"http://{running.host}:{running.port}", 5, P99_MS="30000")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = running.metrics()
    scored = counts['quintile_requests_total{route="/score",status="200"}']
    assert scored >= 50, done.stderr
    answers = [name for name, n in counts.items() if name.startswith('quintile_requests_total{route="/score') and n]
    assert all('status="200"' in name for name in answers), answers


def test_locust_fails_when_the_server_does(running: Server) -> None:
    """A token endpoint that is not there; and a limit that nobody meets."""
    host = f"http://{running.host}:{running.port}"
    assert locust(host, 1, P99_MS="0.001").returncode == 1
    refused = locust(host, 1, TOKEN_URL=f"{host}/none", CLIENT_ID="a", CLIENT_SECRET="b", SCOPE="c")
    assert refused.returncode != 0


class TokenEndpoint(BaseHTTPRequestHandler):
    """OAuth's client credentials, as Cognito takes them."""

    asked: list[tuple[str | None, dict[str, list[str]]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.asked.append((self.headers["authorization"], parse_qs(body)))
        answer = json.dumps({"access_token": "the.token.itself", "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class TlsFront:
    """Ends TLS before a server, and keeps the first bytes of each connection."""

    def __init__(self, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
        self.heads: list[bytes] = []
        self._behind = behind
        self._socket = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            server = socket.create_connection(self._behind)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink, source is client), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        is_first = is_request
        try:
            while data := source.recv(65536):
                if is_first:
                    self.heads.append(data)
                    is_first = False
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()


def test_locust_speaks_tls_and_asks_for_one_token(running: Server, tmp_path: Path) -> None:
    """TLS ends before the server here, as it does at a load balancer."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    front = TlsFront(context, (running.host, running.port))
    handler = type("Handler", (TokenEndpoint,), {"asked": []})
    tokens = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    settings = {
        "TOKEN_URL": f"http://127.0.0.1:{tokens.server_port}/oauth2/token",
        "CLIENT_ID": "crm",
        "CLIENT_SECRET": "secret",
        "SCOPE": "quintile/score",
        "API_KEY": "a-key-of-at-least-24-characters",
        "P99_MS": "30000",
    }
    done = locust(f"https://127.0.0.1:{front.port}", 3, CA_FILE=str(ca), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (authorization, form), *others = handler.asked  # type: ignore[attr-defined]
    assert not others, "one token for all users"
    assert authorization == "Basic Y3JtOnNlY3JldA=="
    assert form == {"grant_type": ["client_credentials"], "scope": ["quintile/score"]}
    assert len(front.heads) >= 4
    assert all(b"Bearer the.token.itself" in head and b"a-key-of-at-least" in head for head in front.heads)
    # Without the authority the connection is refused.
    assert locust(f"https://127.0.0.1:{front.port}", 1, **settings).returncode != 0
    front.close()
    tokens.shutdown()


def test_locust_against_the_server_s_own_tls(server: Callable[..., Server], tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf, ca = authority.issue_cert("127.0.0.1"), tmp_path / "ca.pem"
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(chain, append=number > 0)
    leaf.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    one = server(None, settings={"TLS__CERTIFICATE": str(chain), "TLS__KEY": str(key)})
    host = f"https://127.0.0.1:{one.port}"
    done = locust(host, 3, CA_FILE=str(ca), P99_MS="30000")
    assert done.returncode == 0, done.stdout + done.stderr
    # The certificate is checked, and nothing else than TLS is spoken.
    assert locust(host, 1, P99_MS="30000").returncode != 0
    assert locust(host.replace("https", "http"), 1, P99_MS="30000").returncode != 0
    one.stop()


def test_locust_shows_a_certificate(server: Callable[..., Server], tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("crm@example.com")
    files = {name: tmp_path / f"{name}.pem" for name in ("chain", "key", "ca", "cert", "client")}
    files["chain"].write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    files["cert"].write_bytes(b"".join(pem.bytes() for pem in client.cert_chain_pems))
    leaf.private_key_pem.write_to_path(files["key"])
    client.private_key_pem.write_to_path(files["client"])
    authority.cert_pem.write_to_path(files["ca"])
    settings = {"TLS__CERTIFICATE": files["chain"], "TLS__KEY": files["key"], "TLS__CLIENT_CA": files["ca"]}
    one = server(None, settings={name: str(path) for name, path in settings.items()})
    host, ca = f"https://127.0.0.1:{one.port}", str(files["ca"])
    shown = {"CERT": str(files["cert"]), "KEY": str(files["client"])}
    assert locust(host, 2, CA_FILE=ca, P99_MS="30000", **shown).returncode == 0
    assert locust(host, 1, CA_FILE=ca, P99_MS="30000").returncode != 0, "without a certificate"
    one.stop()
