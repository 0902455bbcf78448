"""`infra/`: its own tests, a plan of each environment, and an apply of what a stand-in of AWS can hold.

Terraform and its provider are not installed by us: where a machine has neither them nor a registry, what needs them is
skipped, and the run says so.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import terraform
from terraform import INFRA, ROOT, Checkout

ENVIRONMENTS = ["minimal", "staging", "prod", "full"]
MODULES = sorted(path.name for path in (INFRA / "modules").iterdir())

needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None, reason="TERRAFORM IS NOT TESTED: it is not on this machine"
)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with terraform.stand_in(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Iterator[Future[tuple[Checkout, str]]]:
    """`infra/local` applied beside the other tests: the provider waits a minute for a lifecycle to settle."""
    checkout = Checkout(tmp_path_factory.mktemp("local") / "infra", below="local")

    def apply() -> tuple[Checkout, str]:
        if why := checkout.init():
            return checkout, f"SKIP {why}"
        done = checkout.terraform("apply", "-no-color", "-input=false", "-auto-approve", f"-var=endpoint={aws}")
        return checkout, done.stdout[-2000:] + done.stderr

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(apply)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, applied: object) -> Checkout:
    found = Checkout(tmp_path_factory.mktemp("terraform") / "infra")
    found.local_state()
    for folder in ("tests", "tests/environments"):
        if why := found.init(f"-test-directory={folder}"):
            pytest.skip(f"TERRAFORM IS NOT TESTED: the provider cannot be had: {why[-300:]}")
    return found


@needs_terraform
def test_it_is_formatted() -> None:
    done = terraform.run("terraform", "fmt", "-check", "-recursive", INFRA, environment=terraform.variables())
    assert done.returncode == 0, f"terraform fmt -recursive infra\n{done.stdout}{done.stderr}"


@needs_terraform
def test_it_is_valid(checkout: Checkout) -> None:
    done = checkout.terraform("validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout


@needs_terraform
def test_modules(checkout: Checkout, note: Callable[[str], None]) -> None:
    done = checkout.terraform("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Success! (\d+) passed, 0 failed", done.stdout)
    assert passed, done.stdout
    note(f"terraform test: {passed[1]} runs passed")


@needs_terraform
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_over_mocks(checkout: Checkout, environment: str) -> None:
    done = checkout.terraform(
        *["test", "-no-color", "-test-directory=tests/environments"],
        *[f"-filter=tests/environments/{environment}.tftest.hcl", f"-var-file=envs/{environment}.tfvars"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success! 1 passed, 0 failed" in done.stdout


# What a reviewer looks for in a plan: which kinds of resources there are, how many.
EXPECTED: dict[str, dict[str, int]] = {
    "minimal": {
        "aws_ecs_service": 1,
        "aws_cloudformation_stack": 0,
        "aws_wafv2_web_acl": 0,
        "aws_kinesis_firehose_delivery_stream": 0,
        "aws_cognito_user_pool": 0,
        "aws_sagemaker_endpoint": 0,
        "aws_secretsmanager_secret": 0,
        "aws_ecr_repository": 0,
        "aws_nat_gateway": 1,
        "aws_sns_topic_subscription": 0,
        "aws_cloudwatch_metric_alarm": 7,
        "aws_lb": 1,
        "aws_lb_target_group": 2,
        "aws_lb_listener": 1,
    },
    "staging": {
        "aws_ecs_service": 0,
        "aws_cloudformation_stack": 1,
        "aws_wafv2_web_acl": 1,
        "aws_kinesis_firehose_delivery_stream": 1,
        "aws_cognito_user_pool": 0,
        "aws_sagemaker_endpoint": 0,
        "aws_ecr_repository": 1,
        "aws_sns_topic_subscription": 1,
        "aws_cloudwatch_metric_alarm": 22,
        "aws_glue_catalog_table": 1,
    },
    "prod": {
        "aws_ecs_service": 0,
        "aws_cloudformation_stack": 1,
        "aws_wafv2_web_acl": 1,
        "aws_kinesis_firehose_delivery_stream": 1,
        "aws_cognito_user_pool": 0,
        "aws_sagemaker_endpoint": 0,
        "aws_ecr_repository": 1,
        "aws_sns_topic_subscription": 1,
        "aws_cloudwatch_metric_alarm": 22,
        "aws_glue_catalog_table": 1,
        "aws_nat_gateway": 1,
    },
    "full": {
        "aws_cloudformation_stack": 1,
        "aws_wafv2_web_acl": 1,
        "aws_kinesis_firehose_delivery_stream": 1,
        "aws_cognito_user_pool": 1,
        "aws_sagemaker_endpoint": 1,
        "aws_secretsmanager_secret": 1,
        "aws_ecr_repository": 1,
        "aws_vpc_endpoint": 10,
        "aws_nat_gateway": 1,
        "aws_sns_topic_subscription": 1,
        "aws_cloudwatch_metric_alarm": 22,
    },
}
# CPU, memory, fewest and most tasks.
TASKS = {
    "minimal": ("512", "1024", 2, 4),
    "staging": ("512", "1024", 1, 2),
    "prod": ("1024", "2048", 2, 6),
    "full": ("1024", "2048", 2, 10),
}


@needs_terraform
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_plan(checkout: Checkout, aws: str, environment: str) -> None:
    planned = checkout.plan(environment, aws)
    kinds = [one["type"] for one in planned]
    assert {kind: kinds.count(kind) for kind in EXPECTED[environment]} == EXPECTED[environment]

    def only(kind: str) -> dict[str, Any]:
        found = [one["values"] for one in planned if one["type"] == kind]
        assert len(found) == 1, (kind, len(found))
        return found[0]

    task, scaling = only("aws_ecs_task_definition"), only("aws_appautoscaling_target")
    assert (task["cpu"], task["memory"], scaling["min_capacity"], scaling["max_capacity"]) == TASKS[environment]
    if environment in ("prod", "full"):
        assert scaling["min_capacity"] >= 2
    names = [one["values"].get("name") for one in planned if one["type"] == "aws_iam_role"]
    assert names and all(name.startswith(f"quintile-{environment}-") for name in names)
    if environment != "minimal":
        bounded = [one["values"] for one in planned if one["type"] == "aws_iam_role"]
        # The boundary's ARN is known after apply, so a plan has it among the unknown values, not as null.
        unbounded = [one["name"] for one in bounded if one.get("permissions_boundary", "unknown") is None]
        assert sorted(unbounded) == [f"quintile-{environment}-github-{role}" for role in ("apply", "plan")]
    rules = [one["values"] for one in planned if one["type"] == "aws_vpc_security_group_ingress_rule"]
    is_open = "0.0.0.0/0" in [rule.get("cidr_ipv4") for rule in rules]
    assert is_open == (environment == "full"), "only where callers need a credential"


@needs_terraform
def test_it_is_applied_to_a_stand_in(applied: Future[tuple[Checkout, str]], aws: str) -> None:
    import boto3

    checkout, text = applied.result()
    if text.startswith("SKIP"):
        pytest.skip(f"TERRAFORM IS NOT APPLIED: the provider cannot be had: {text[-300:]}")
    assert "Apply complete!" in text, text
    outputs = json.loads(checkout.terraform("output", "-json").stdout)
    value = {name: one["value"] for name, one in outputs.items()}

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url=aws,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    stream = client("firehose").describe_delivery_stream(DeliveryStreamName=value["stream"])
    destination = stream["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert destination["BucketARN"] == f"arn:aws:s3:::{value['bucket']}"
    bucket = client("s3").get_bucket_policy(Bucket=value["bucket"])["Policy"]
    assert "aws:SecureTransport" in bucket
    pool = client("cognito-idp").describe_user_pool_client(
        UserPoolId=value["user_pool_id"], ClientId=value["client_id"]
    )["UserPoolClient"]
    assert (pool["AllowedOAuthFlows"], pool["AllowedOAuthScopes"]) == (["client_credentials"], ["quintile/score"])
    secret = client("secretsmanager").describe_secret(SecretId=value["api_keys_secret"])
    assert secret["Name"] == "quintile-local/api-keys" and "VersionIdsToStages" not in secret
    assert client("sns").list_subscriptions_by_topic(TopicArn=value["topic"])["Subscriptions"]
    role = client("iam").get_role(RoleName=value["roles"]["apply"].rpartition("/")[2])["Role"]
    assert "repo:example/quintile:environment:local" in json.dumps(role["AssumeRolePolicyDocument"])
    again = checkout.terraform("plan", "-no-color", "-detailed-exitcode", "-input=false", f"-var=endpoint={aws}")
    assert again.returncode == 0, f"a second plan wants changes\n{again.stdout[-3000:]}"


def test_checkov_finds_nothing_without_a_reason() -> None:
    done = terraform.run(
        terraform.tool("checkov"), *["-d", INFRA, "--skip-download", "--compact", "--quiet", "-o", "json"],
        *["--framework", "terraform", "cloudformation"],
    )  # fmt: skip
    found = json.loads(done.stdout)
    reports = found if isinstance(found, list) else [found]
    failed = [
        f"{one['check_id']} {one['resource']}: {one['check_name']}"
        for report in reports
        for one in report["results"]["failed_checks"]
    ]
    assert not failed, "\n".join(sorted(set(failed)))
    assert sum(report["summary"]["passed"] for report in reports) > 300
    skips = re.findall(r"#checkov:skip=(\w+):?(.*)", "\n".join(path.read_text() for path in INFRA.rglob("*.tf")))
    assert skips and all(len(reason) >= 8 for _, reason in skips), skips


def test_cfn_lint_accepts_the_template() -> None:
    done = terraform.run(terraform.tool("cfn-lint"), INFRA / "modules/service/service.cfn.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_would_see_a_misspelt_key(tmp_path: Path) -> None:
    text = (INFRA / "modules/service/service.cfn.yaml").read_text()
    path = tmp_path / "service.cfn.yaml"
    path.write_text(text.replace("CanaryBakeTimeInMinutes:", "CanaryBakeTime:"))
    assert terraform.run(terraform.tool("cfn-lint"), path).returncode != 0


def test_each_variable_and_output_is_described() -> None:
    for path in INFRA.rglob("*.tf"):
        for block in re.findall(r'^(?:variable|output) "\w+" \{\n(.*?)^\}', path.read_text(), re.MULTILINE | re.DOTALL):
            assert re.search(r"^  description = ", block, re.MULTILINE), f"{path}: {block[:80]}"


def test_the_rates_are_those_of_the_measured_sizes() -> None:
    """Half of what docs/task-sizes.md says with records, a minute."""
    table = (ROOT / "docs/task-sizes.md").read_text()
    rows = re.findall(r"^\| ([\d.]+) \| [\d.]+ \| parquet \| ([\d,]+) \|", table, re.MULTILINE)
    measured = {round(float(cpu) * 1024): int(rate.replace(",", "")) * 30 for cpu, rate in rows}
    text = (INFRA / "modules/service/service.tf").read_text()
    block = re.search(r"requests_a_minute = \{(.*?)\}", text, re.DOTALL)
    assert block
    used = {int(cpu): int(rate) for cpu, rate in re.findall(r"(\d+)\s*= (\d+)", block[1])}
    assert used == measured


def test_the_image_s_certificates_and_port_are_the_task_s() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "QUINTILE_SERVER__LISTEN=0.0.0.0:8080" in dockerfile
    assert "USER 65532:65532" in dockerfile and "VOLUME /data" in dockerfile


def test_each_alarm_has_its_runbook() -> None:
    text = (INFRA / "modules/observe/main.tf").read_text()
    names = set(re.findall(r"^    ([a-z0-9-]+) = \{\n      about", text, re.MULTILINE)) | {"unhealthy-blue"}
    assert len(names) >= 20, names
    page = (ROOT / "docs/deploy.md").read_text()
    headings = set(re.findall(r"^#{2,4} ([a-z0-9-]+)$", page, re.MULTILINE))
    assert names <= headings, names - headings


def test_each_setting_of_a_task_is_a_key(note: Callable[[str], None]) -> None:
    """The program ends with 78 on a variable that it does not know."""
    page = (ROOT / "docs/configuration.md").read_text()
    keys: set[str] = set()
    for section, table in re.findall(r"^## `\[([\w.]+)\]`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        keys |= {f"{section}.{name}" for name in re.findall(r"^\| `(\w+)`", table, re.MULTILINE)}
    assert len(keys) > 40, keys
    text = "".join(path.read_text() for path in (INFRA / "modules").rglob("*.tf")) + (ROOT / "Dockerfile").read_text()
    used = {name.lower().replace("__", ".") for name in re.findall(r"QUINTILE_([A-Z_]+)\s*=", text)}
    assert len(used) > 10, used
    unknown = sorted(used - keys)
    assert all(name.startswith("auth.") for name in unknown), unknown
    if unknown:
        note(f"NOT CHECKED: this build has no {', '.join(unknown)}, which infra/ sets with tokens or API keys")


def test_the_columns_are_the_demo_model_s() -> None:
    import command

    done = subprocess.run(
        [command.binary(), "records", "schema", "--format", "glue"], capture_output=True, text=True, check=True
    )
    kept = json.loads((INFRA / "modules/records/columns.json").read_text())
    assert json.loads(done.stdout) == kept, "quintile records schema --format glue > infra/modules/records/columns.json"
