"""Models of a store, from the command line: a folder, and S3 against moto."""

import json
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

import command
from delivery import until
from serving import Server
from stand_in import StandIn

NAMES = ["a", "b"]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models of the same features, the first with a manifest."""
    folder = tmp_path_factory.mktemp("models")
    dice = np.random.default_rng(1)
    rows = dice.normal(0, 1, (200, 2))
    paths = []
    for number in range(3):
        data = xgb.DMatrix(rows, (rows[:, 0] + number * rows[:, 1] > 0).astype(int), feature_names=NAMES)
        paths.append(folder / f"leads-{number + 1}.ubj")
        xgb.train({"objective": "binary:logistic", "max_depth": 2}, data, 4 + number).save_model(paths[-1])
    (folder / "leads-1.toml").write_text('name = "leads"\nversion = "2026-01"\n', encoding="utf-8")
    return paths


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.client("s3").create_bucket(Bucket="lake")
        yield running


def models(*words: object, environment: dict[str, str] | None = None) -> str:
    done = command.run("models", *words, environment=environment)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def refused(*words: object, environment: dict[str, str] | None = None) -> str:
    done = command.run("models", *words, environment=environment)
    assert done.returncode == 1 and not done.stdout, done
    return str(done.stderr)


def listed(place: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    [model] = json.loads(models("list", "--store", place, "--json", environment=environment))["models"]
    return dict(model)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_folder_is_filled_and_its_champion_changes(tmp_path: Path, versions: list[Path]) -> None:
    store = tmp_path / "store"
    assert models("push", "leads", versions[0], "--store", store) == (
        f"leads: version 1 is in {store}; it has no golden rows\n"
    )
    assert "version 2 is in" in models("push", "leads", versions[1], "--store", store)
    assert sorted(path.name for path in (store / "leads" / "1").iterdir()) == ["model.toml", "model.ubj"]
    assert (store / "leads" / "2" / "model.ubj").read_bytes() == versions[1].read_bytes()
    assert "has version 2 of leads already" in refused("push", "leads", versions[2], "--version", 2, "--store", store)
    (tmp_path / "bad.ubj").write_bytes(b"no model")
    assert "bad.ubj" in refused("push", "leads", tmp_path / "bad.ubj", "--store", store)
    assert "has had no other champion" in refused("rollback", "leads", "--store", store)
    assert models("promote", "leads", 1, "--store", store).startswith("leads: version 1 is champion")
    assert models("promote", "leads", 2, "--store", store).startswith("leads: version 2 is champion, 1 was\n")
    assert listed(str(store))["aliases"] == {"champion": "2"}
    assert models("rollback", "leads", "--store", store).startswith("leads: version 1 is champion, 2 was\n")
    assert "has no version 7 of leads; it has 1, 2" in refused("promote", "leads", 7, "--store", store)
    assert "the store has no model calls" in refused("promote", "calls", 1, "--store", store)
    shutil.copy(tmp_path / "bad.ubj", store / "leads" / "2" / "model.ubj")
    assert "version 2 of leads is not promoted" in refused("promote", "leads", 2, "--store", store)
    assert not list(store.rglob(".push*")), "nothing is left over"


class BucketServer:
    """A server whose models are in a bucket."""

    def __init__(self, aws: StandIn, data: Path, start: Callable[..., Server]) -> None:
        self.admin = f"http://127.0.0.1:{free_port()}"
        settings = {"models__store": "s3://lake/models", "models__poll_seconds": "1", "models__default": "leads"}
        environment = aws.environment(**settings, server__admin=self.admin.removeprefix("http://"))
        self.server = start(None, sink="none", environment=environment)

    def version(self) -> str:
        connection = self.server.connect()
        answer = connection.score("lead-1", {"a": 0.5, "b": -1.0})
        connection.close()
        assert answer.status == 200, answer.body
        return str(answer.json()["model"]["version"])

    def overview(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.admin}/v1/models") as answer:
            return dict(json.load(answer))


def test_models_of_a_bucket(aws: StandIn, server: Callable[..., Server], tmp_path: Path, versions: list[Path]) -> None:
    environment = aws.environment()
    store = "s3://lake/models"
    models("push", "leads", versions[0], "--store", store, environment=environment)
    assert sorted(aws.objects("lake")) == ["models/leads/1/model.toml", "models/leads/1/model.ubj"]
    running = BucketServer(aws, tmp_path, server)
    assert running.version() == "1"
    client = aws.client("s3")
    client.put_object(Bucket="lake", Key="models/leads/2/model.toml", Body=b'name = "leads"\n')
    assert [version["version"] for version in listed(store, environment)["versions"]] == ["1"], "the model comes last"
    client.put_object(Bucket="lake", Key="models/leads/2/model.ubj", Body=versions[1].read_bytes())
    until(lambda: running.version() == "2", "the highest version answers")
    said = models("promote", "leads", 1, "--server", running.admin)
    assert (said, running.version()) == ("leads: version 1 is champion, 2 was\n", "1")
    assert "models/leads/.quintile/state.1.json" in aws.objects("lake")
    assert models("rollback", "leads", "--server", running.admin) == "leads: version 2 is champion, 1 was\n"
    models("promote", "leads", 1, "--store", store, environment=environment)
    until(lambda: running.version() == "1", "a decision in the bucket is taken at the next look")
    assert "champion" in models("list", "--server", running.admin)
    # Somebody else has decided since this server looked.
    latest = max(int(key.split(".")[-2]) for key in aws.objects("lake") if ".quintile" in key)
    state = aws.objects("lake")[f"models/leads/.quintile/state.{latest}.json"]
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        key = f"models/leads/.quintile/state.{latest}.json"
        client.put_object(Bucket="lake", Key=key, Body=state, IfNoneMatch="*")
    running.server.stop()
    # A start does not need the bucket.
    aws.down()
    again = BucketServer(aws, tmp_path, server)
    assert again.version() == "1"
    assert any("copies of before are served" in line for line in again.server.log)
    aws.up()
    models("push", "leads", versions[2], "--store", store, environment=environment)
    until(
        lambda: {"3"} <= {version["version"] for model in again.overview()["models"] for version in model["versions"]},
        "S3 is back",
    )
    again.server.stop()


def test_what_a_bucket_cannot_give_is_said(aws: StandIn, tmp_path: Path) -> None:
    environment = {
        **aws.environment(),
        "QUINTILE_MODELS__STORE": "s3://absent/models",
        "QUINTILE_SERVER__LISTEN": "127.0.0.1:0",
    }
    done = command.run("serve", "--sink", "none", "--data-dir", tmp_path / "data", environment=environment)
    assert done.returncode == 78 and "s3://absent/models" in done.stderr and "NoSuchBucket" in done.stderr, done.stderr
