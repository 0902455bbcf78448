"""The `s3` sink against moto: whole Parquet files in the right places, which pyarrow reads back."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xgboost as xgb

from delivery import DEMO, answered, assert_delivered, assert_no_secrets, until
from serving import Server
from stand_in import StandIn

KEY = re.compile(r"leads/v1/date=\d{4}-\d{2}-\d{2}/hour=([01]\d|2[0-3])/[^/._][^/]*\.parquet")
PART_BYTES = 8 << 20


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.client("s3").create_bucket(Bucket="lake")
        yield running


def rows(aws: StandIn) -> list[dict[str, Any]]:
    objects = aws.objects("lake")
    assert all(KEY.fullmatch(key) for key in objects), list(objects)
    return [row for content in objects.values() for row in pq.read_table(io.BytesIO(content)).to_pylist()]


def environment(aws: StandIn, **settings: str) -> dict[str, str]:
    return aws.environment(records__s3_url="s3://lake/leads/v1/", **settings)


def test_every_answer_is_in_a_file_in_the_bucket(aws: StandIn, server: Callable[..., Server], tmp_path: Path) -> None:
    running = server(DEMO, sink="s3", environment=environment(aws, records__roll_seconds="0.3", log__level="trace"))
    answers = answered(running, 400) | answered(running, 300, seed=1)
    running.stop()
    assert_delivered(rows(aws), answers)
    assert not list((tmp_path / "data" / "uploads" / "tmp").iterdir()), "files that are uploaded are removed"
    assert_no_secrets(running)


def test_a_large_file_goes_in_parts(aws: StandIn, server: Callable[..., Server], tmp_path: Path) -> None:
    names = [f"f{i}" for i in range(500)]
    generator = np.random.default_rng(2)
    data = xgb.DMatrix(generator.random((30, len(names))), label=generator.integers(0, 2, 30), feature_names=names)
    model = tmp_path / "wide.ubj"
    xgb.train({"objective": "binary:logistic", "max_depth": 2}, data, num_boost_round=2).save_model(model)
    running = server(model, sink="s3", environment=environment(aws))
    connection = running.connect()
    values = generator.random((2_400, len(names)))
    for number, row in enumerate(values.tolist()):
        assert connection.score(f"lead-{number}", dict(zip(names, row, strict=True))).status == 200
    connection.close()
    running.stop()
    (content,) = aws.objects("lake").values()
    assert len(content) > PART_BYTES
    table = pq.read_table(io.BytesIO(content))
    order = [int(lead.removeprefix("lead-")) for lead in table["lead_id"].to_pylist()]
    assert sorted(order) == list(range(2_400))
    read = np.column_stack([table[name].to_numpy() for name in names])
    assert np.array_equal(read, values[order])


def test_a_bucket_that_is_away_gets_everything_later(aws: StandIn, server: Callable[..., Server]) -> None:
    running = server(DEMO, sink="s3", environment=environment(aws, records__roll_seconds="0.2"))
    aws.down()
    answers = answered(running, 300)
    error = 'quintile_sink_errors_total{sink="s3"}'
    until(lambda: running.metrics()[error] >= 1, "failures are counted")
    aws.up()
    until(lambda: running.metrics()['quintile_records_delivered_total{sink="s3"}'] == 300, "all delivered")
    running.stop()
    assert_delivered(rows(aws), answers)
