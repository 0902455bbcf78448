"""`quintile-snowflake load` and `quintile-snowflake read`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error as SnowflakeError

from quintile_snowflake import credentials, read
from quintile_snowflake.dry_run import print_dry_run
from quintile_snowflake.errors import Duplicates, Refused, SourceAway
from quintile_snowflake.load import Options
from quintile_snowflake.metrics import Metrics
from quintile_snowflake.rounds import Rounds
from quintile_snowflake.source import open_source
from quintile_snowflake.statements import Table

_LOG = logging.getLogger("quintile_snowflake")
_LOGIN_SECONDS = 30
_NETWORK_SECONDS = 300
_MIB = 1 << 20

_EPILOG = """examples:
  quintile-snowflake load data/scores --dry-run
  quintile-snowflake load s3://BUCKET/PREFIX --secret quintile/snowflake --watch --metrics-listen 127.0.0.1:9100
  quintile-snowflake read --table LEADS --features columns.json --out leads.parquet

Credentials come from SNOWFLAKE_… variables or --secret: private_key or private_key_file (with private_key_passphrase),
token or token_file_path, oauth_client_id with oauth_client_secret and oauth_token_request_url, or
workload_identity_provider (AWS, AZURE, GCP, OIDC).
exit code: 0 done, 1 some files were not loaded, 2 it could not begin."""


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    logging.basicConfig(
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
        level=logging.WARNING,
    )
    _LOG.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    try:
        code = options.run(options)
    except (Refused, SourceAway) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Duplicates as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    assert isinstance(code, int)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quintile-snowflake",
        description="Recorded scores into Snowflake, each once, and features out of it",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    load = commands.add_parser("load", help="write recorded scores into a table")
    load.set_defaults(run=_load)
    load.add_argument(
        "source",
        metavar="SOURCE",
        help="DATA_DIR/scores of a server, or s3://BUCKET/PREFIX",
    )
    load.add_argument("--table", default="SCORES", help="the table of scores (default: %(default)s)")
    load.add_argument("--watch", action="store_true", help="go on for ever, until SIGTERM or SIGINT")
    load.add_argument(
        "--interval",
        type=_positive,
        default=30.0,
        help="seconds between looks (default: %(default)s)",
    )
    load.add_argument(
        "--dry-run",
        action="store_true",
        help="print the SQL for what is there, and connect to nothing",
    )
    load.add_argument(
        "--external-stage",
        metavar="STAGE",
        help="a stage that shows SOURCE itself; then nothing is uploaded",
    )
    load.add_argument(
        "--refuse-new-columns",
        action="store_true",
        help="refuse files with columns the table lacks",
    )
    load.add_argument(
        "--since",
        type=_day,
        metavar="YYYY-MM-DD",
        help="look at files of this day and later only",
    )
    load.add_argument(
        "--again",
        action="store_true",
        help="load all files, whether or not they are noted as loaded",
    )
    load.add_argument(
        "--batch-files",
        type=_count,
        default=200,
        help="files in a batch (default: %(default)s)",
    )
    load.add_argument(
        "--batch-mib",
        type=_count,
        default=256,
        help="MiB in a batch (default: %(default)s)",
    )
    load.add_argument(
        "--metrics-listen",
        metavar="HOST:PORT",
        help="serve metrics for Prometheus here",
    )
    load.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE.prom",
        help="write them here after each round",
    )
    load.add_argument(
        "--no-progress",
        action="store_true",
        help="no progress bar, though this is a terminal",
    )
    _add_connection(load)
    reader = commands.add_parser("read", help="write rows of features for `quintile score` into a Parquet file")
    reader.set_defaults(run=_read)
    what = reader.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", help="a table or view of features")
    what.add_argument("--query", help="a query")
    reader.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="what `quintile records schema --format json` printed: columns get the features' names",
    )
    reader.add_argument("--out", type=Path, required=True, metavar="ROWS.parquet")
    _add_connection(reader)
    return parser


def _add_connection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("connection", "SNOWFLAKE_ACCOUNT and so on stand for what is not given")
    for name in credentials.PLAIN[:-4]:
        group.add_argument(f"--{name}")
    group.add_argument(
        "--secret",
        metavar="NAME_OR_ARN",
        help="a JSON object in AWS Secrets Manager with them",
    )
    parser.add_argument("--verbose", action="store_true", help="log each statement")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return number


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _connect(options: argparse.Namespace) -> SnowflakeConnection:
    """A session. What is wrong with a login is told by Snowflake's own words."""
    given = {name: getattr(options, name) for name in credentials.PLAIN[:-4]}
    arguments = credentials.from_process(given, options.secret)
    return snowflake.connector.connect(
        **arguments,
        autocommit=True,
        application="quintile_snowflake",
        login_timeout=_LOGIN_SECONDS,
        network_timeout=_NETWORK_SECONDS,
        client_session_keep_alive=True,
        # If this process dies, a statement that still runs ends within minutes instead of holding the table.
        session_parameters={
            "ABORT_DETACHED_QUERY": True,
            "QUERY_TAG": "quintile-snowflake",
            "TIMEZONE": "UTC",
        },
    )


def _load_options(options: argparse.Namespace) -> Options:
    return Options(
        table=Table(options.table),
        external_stage=options.external_stage,
        add_columns=not options.refuse_new_columns,
        batch_files=options.batch_files,
        batch_bytes=options.batch_mib * _MIB,
        since=options.since,
        again=options.again,
    )


def _load(options: argparse.Namespace) -> int:
    source = open_source(options.source)
    if options.dry_run:
        return print_dry_run(source, _load_options(options))
    metrics = Metrics()
    if options.metrics_listen:
        metrics.listen(options.metrics_listen)
    return Rounds(options, source, metrics, lambda: _connect(options), _load_options(options)).run()


def _read(options: argparse.Namespace) -> int:
    features = read.read_features(options.features) if options.features else None
    query = options.query or read.select(options.table)
    try:
        with _connect(options) as connection:
            rows = read.read_rows(connection, query, features, options.out)
    except SnowflakeError as error:
        raise Refused(f"Snowflake: {error}") from None
    except OSError as error:
        raise Refused(f"{options.out}: {error.strerror or error}") from None
    _LOG.info("%d rows in %s", rows, options.out)
    return 0
