"""docs/dashboards: every query and rule in a Prometheus that scrapes real servers; each alert fires and is quiet."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Note
from delivery import DEMO
from serving import Server
from stand_in import StandIn
from test_security import pair as pair  # a fixture: a certificate and its key

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "dashboards"
RULES = FOLDER / "prometheus-rules.yml"
CASES = FOLDER / "prometheus-rules-test.yml"
COLLECTOR = ROOT / "infra" / "modules" / "service" / "collector.tf"
UNTIL_S = 60
# A change is an event: there may be none.
MAY_BE_EMPTY = {"New model"}


def program(name: str, note: Note) -> str:
    """From Debian's package prometheus, which `cargo xtask test` unpacks."""
    found = shutil.which(name)
    if found is None:
        note(f"NOT CHECKED: docs/dashboards in {name}, which is absent")
        pytest.skip(f"{name} is absent")
    return found


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
    return content


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Each query of the dashboard with the title of what shows it, for all instances of the job `quintile`."""
    content = dashboard()
    panels = [(panel["title"], target["expr"]) for panel in content["panels"] for target in panel.get("targets", [])]
    notes = [(note["name"], note["expr"]) for note in content["annotations"]["list"]]
    values = {"$job": "quintile", "$instance": ".*", "$__rate_interval": "10s"}
    found = []
    for title, query in panels + notes:
        for name, value in values.items():
            query = query.replace(name, value)
        assert "$" not in query, query
        found.append((title, query))
    return found


class Prometheus:
    def __init__(self, path: str, folder: Path, targets: dict[str, str]) -> None:
        scrapes = [
            {
                "job_name": "quintile" if scheme == "http" else "quintile-tls",
                "scheme": scheme,
                "tls_config": {"insecure_skip_verify": True},
                "static_configs": [{"targets": [address]}],
                # Both are one job, as in production.
                "relabel_configs": [{"target_label": "job", "replacement": "quintile"}],
            }
            for scheme, address in targets.items()
        ]
        content = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": scrapes,
            "rule_files": [str(RULES)],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(content))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/api/v1"
        words = [path, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
        self._log = (folder / "prometheus.log").open("wb")
        words.append(f"--web.listen-address=127.0.0.1:{port}")
        self._process = subprocess.Popen(words, stdout=self._log, stderr=subprocess.STDOUT)

    def get(self, path: str, **parameters: str) -> Any:
        until = time.monotonic() + UNTIL_S
        while True:
            try:
                with urllib.request.urlopen(f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}") as answer:
                    return json.load(answer)["data"]
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None
            except OSError:
                assert self._process.poll() is None, "Prometheus ended"
                assert time.monotonic() < until, "Prometheus does not answer"
                time.sleep(0.1)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


def test_every_query_and_rule_in_prometheus(pair: Path, tmp_path: Path, note: Note) -> None:
    path = program("prometheus", note)
    with StandIn() as aws:
        aws.create_stream("leads", "lake")
        aws.endpoints["leads"] = lambda body, kind: ("0.5", "text/csv")
        remote = aws.environment(
            scoring__endpoint="leads", scoring__primary="sagemaker", scoring__fallback="local",
            records__firehose_stream="leads",
        )  # fmt: skip
        tls = {"TLS__CERTIFICATE": str(pair / "tls.crt"), "TLS__KEY": str(pair / "tls.key")}
        with (
            Server(DEMO, tmp_path / "a", sink="parquet,firehose", environment=remote) as plain,
            Server(DEMO, tmp_path / "b", settings=tls) as secure,
        ):
            targets = {"http": f"127.0.0.1:{plain.port}", "https": f"127.0.0.1:{secure.port}"}
            prometheus = Prometheus(path, tmp_path, targets)
            try:
                ask_until_each_answers(prometheus, plain)
                check_rules(prometheus)
            finally:
                prometheus.close()


def ask_until_each_answers(prometheus: Prometheus, server: Server) -> None:
    """Scores leads meanwhile, so that there is something to see."""
    waiting = [query for query in queries() if query[0] not in MAY_BE_EMPTY]
    assert len(waiting) > 30
    for title, query in queries():
        if title in MAY_BE_EMPTY:
            prometheus.get("query", query=query)
    until = time.monotonic() + UNTIL_S
    while waiting and time.monotonic() < until:
        for number in range(50):
            connection = server.connect()
            assert connection.score(f"lead-{number}", {"f1": float(number)}).status == 200
            connection.close()
        waiting = [query for query in waiting if not has_number(prometheus.get("query", query=query[1])["result"])]
        time.sleep(0.2)
    assert not waiting, "these queries find nothing"


def has_number(result: list[dict[str, Any]]) -> bool:
    return any(series["value"][1] != "NaN" for series in result)


def check_rules(prometheus: Prometheus) -> None:
    until = time.monotonic() + UNTIL_S
    while True:
        loaded = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        if all(rule["health"] == "ok" for rule in loaded) or time.monotonic() > until:
            break
        time.sleep(0.2)
    assert {rule["name"] for rule in loaded} == {rule.get("alert", rule.get("record")) for rule in rules()}
    assert all(rule["health"] == "ok" for rule in loaded), loaded
    assert not [rule["name"] for rule in loaded if rule.get("state") == "firing"], "these servers are healthy"
    # Every metric that a rule names exists.
    names = {name for rule in rules() for name in re.findall(r"(?<![:\w])(?:quintile|process)_[a-z_]+", rule["expr"])}
    known = set(prometheus.get("label/__name__/values"))
    conditional = {"quintile_jwks_age_seconds"}  # only where tokens are checked, so not here
    assert names - known <= conditional, names - known


def test_alerts_fire_and_are_quiet(note: Note) -> None:
    promtool = program("promtool", note)
    for words in (["check", "rules", RULES.name], ["test", "rules", CASES.name]):
        done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tried: dict[str, set[bool]] = {}
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for one in case["alert_rule_test"]:
            tried.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert tried == {name: {True, False} for name in alerts}, "each alert is tried firing and quiet"


def test_alerts_say_what_they_should() -> None:
    anchors = set(re.findall(r"^### ([\w-]+)$", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE))
    page = (FOLDER / "README.md").read_text()
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in {"page", "ticket"} and rule["annotations"]["summary"]
        runbook = rule["annotations"].get("runbook", "docs/deploy.md#lag")
        assert runbook.removeprefix("docs/deploy.md#") in anchors, runbook
        assert f"`{rule['alert']}`" in page, f"{rule['alert']} is not in the page"


def test_the_dashboard_has_its_form() -> None:
    found = dashboard()
    assert found["schemaVersion"] >= 36 and found["uid"] == "quintile"
    panels = found["panels"]
    numbers = [panel["id"] for panel in panels]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"], panel["title"]
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters)
    assert {variable["name"] for variable in found["templating"]["list"]} == {"datasource", "job", "instance"}


def test_cloudwatch_shows_what_the_collector_sends() -> None:
    sent = dict(re.findall(r"(\w+)\s*= (\[[^\]]*\])", COLLECTOR.read_text().partition("metrics = {\n    plain")[2]))
    plain = re.search(r"plain = (\[[^\]]*\])", COLLECTOR.read_text())
    assert plain
    dimensions = {"plain": [], "by_sink": ["sink"], "by_state": ["state"], "by_kind": ["kind"], "by_result": ["result"]}
    known = {
        name: dimensions[group]
        for group, names in {**sent, "plain": plain[1]}.items()
        if group in dimensions
        for name in re.findall(r'"(quintile_\w+)"', names)
    }
    assert len(known) > 10
    shown = set()
    for widget in json.loads((FOLDER / "cloudwatch.json").read_text())["widgets"]:
        properties = widget["properties"]
        assert widget["type"] == "metric" and properties["stat"] and properties["period"] == 60
        for metric in properties["metrics"]:
            space, name, *pairs = [word for word in metric if isinstance(word, str)]
            if space == "Quintile":
                assert pairs[::2] == ["service", *known[name]], metric
                shown.add(name)
    assert set(known) - shown == {"quintile_drift_alerts_firing"}, "only what a server may have not is left out"
