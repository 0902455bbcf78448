"""The stand-in for AWS is as strict as AWS: what it lets through proves something."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from stand_in import ANSWER_LOST, BROKEN, RESET, THROTTLED, Fault, StandIn


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.create_stream("scores", "lake")
        yield running


def put(aws: StandIn, data: list[bytes], stream: str = "scores") -> Any:
    client = aws.client("firehose")
    records = [{"Data": record} for record in data]
    return client.put_record_batch(DeliveryStreamName=stream, Records=records)


def refusal(aws: StandIn, data: list[bytes], stream: str = "scores") -> str:
    with pytest.raises(ClientError) as refused:
        put(aws, data, stream)
    return refused.value.response["Error"]["Code"]


def test_records_reach_the_bucket(aws: StandIn) -> None:
    answer = put(aws, [b'{"a":1}\n', b'{"a":2}\n'])
    assert (answer["FailedPutCount"], len(answer["RequestResponses"])) == (0, 2)
    assert aws.rows("lake") == [{"a": 1}, {"a": 2}]
    assert aws.delivered == [b'{"a":1}\n', b'{"a":2}\n']


def test_firehose_has_its_limits(aws: StandIn) -> None:
    assert put(aws, [b"x"] * 500)["FailedPutCount"] == 0
    assert refusal(aws, [b"x"] * 501) == "ValidationException"
    assert put(aws, [b"x" * (1000 << 10)])["FailedPutCount"] == 0
    assert refusal(aws, [b"x" * ((1000 << 10) + 1)]) == "ValidationException"
    assert put(aws, [b"x" * (1 << 19)] * 8)["FailedPutCount"] == 0
    assert refusal(aws, [*[b"x" * (1 << 19)] * 8, b"x"]) == "InvalidArgumentException"
    assert refusal(aws, [b"x"], stream="other") == "ResourceNotFoundException"


def test_single_records_fail_by_index(aws: StandIn) -> None:
    aws.refuse = lambda number, data: "ServiceUnavailableException" if number % 3 == 1 else None
    answer = put(aws, [b'{"n":%d}\n' % n for n in range(7)])
    failed = [index for index, one in enumerate(answer["RequestResponses"]) if "ErrorCode" in one]
    assert (answer["FailedPutCount"], failed) == (2, [1, 4])
    assert [row["n"] for row in aws.rows("lake")] == [0, 2, 3, 5, 6]


def test_calls_fail_as_told(aws: StandIn) -> None:
    plan = {0: THROTTLED, 1: BROKEN, 2: RESET, 3: ANSWER_LOST, 4: Fault(delay_s=0.01)}
    aws.fault = lambda call: plan.get(call.number)
    assert refusal(aws, [b"0"]) == "ServiceUnavailableException"
    assert refusal(aws, [b"1"]) == "InternalFailure"
    for record in (b"2", b"3"):
        with pytest.raises(BotoCoreError):
            put(aws, [record])
    put(aws, [b"4"])
    put(aws, [b"5"])
    assert aws.delivered == [b"3", b"4", b"5"]


def test_a_stand_in_that_is_down_refuses_connections(aws: StandIn) -> None:
    aws.down()
    with pytest.raises(BotoCoreError):
        put(aws, [b"x"])
    aws.up()
    assert put(aws, [b"x"])["FailedPutCount"] == 0


def test_endpoints_must_exist_and_answer_with_their_model(aws: StandIn) -> None:
    client = aws.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="Endpoint leads of account 123456789012 not found"):
        client.invoke_endpoint(EndpointName="leads", Body=b"1,2", ContentType="text/csv")
    aws.endpoints["leads"] = lambda body, kind: (f"{kind}:{body.decode()}", "text/csv")
    for text in ("1,2", "3,4", "1,2"):
        answer = client.invoke_endpoint(EndpointName="leads", Body=text.encode(), ContentType="text/csv")
        assert (answer["Body"].read(), answer["ContentType"]) == (b"text/csv:" + text.encode(), "text/csv")


def test_sts_says_who_asks(aws: StandIn) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
