"""What was answered, held against what was recorded."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from process import FEATURES, Difference, Server, features, wait_for_keepers

COLUMNS = ["record_id", "lead_id", "prediction", "model", "model_version", *FEATURES]
MODEL = ("demo", "1.0.0")


def recorded(data: Path) -> dict[int, dict]:
    """Every record by its lead's number. One record in two files came twice, which is allowed; two records are not."""
    found: dict[int, dict] = {}
    for path in sorted((data / "scores").rglob("*.parquet")):
        for row in pq.read_table(path, columns=COLUMNS, partitioning=None).to_pylist():
            number = int(row["lead_id"].removeprefix("lead-"))
            if number in found and found[number] != row:
                raise Difference(f"lead {number} has two records: {found[number]} and {row}")
            found[number] = row
    return found


def compare(data: Path, answered: Mapping[int, float]) -> set[int]:
    """Checks each record, and returns the leads that have none."""
    found = recorded(data)
    for number, row in found.items():
        if {name: row[name] for name in FEATURES} != features(number):
            raise Difference(f"lead {number} was {features(number)} and is recorded as {row}")
        if (row["model"], row["model_version"]) != MODEL:
            raise Difference(f"lead {number} is recorded under another model: {row}")
        if number in answered and row["prediction"] != answered[number]:
            raise Difference(
                f"lead {number} was answered {answered[number]!r} and is recorded as {row['prediction']!r}"
            )
    return set(answered) - set(found)


def deliver(binary: Path, data: Path, runtime: str, answered: Mapping[int, float], may_be_told: bool = False) -> str:
    """The next process, which delivers what others have left. Every missing record must have been reported."""
    wait_for_keepers(data)
    following = Server(binary, data, runtime)
    if not following.is_up:
        raise Difference(f"the next process does not start\n{following.tail()}")
    code = following.stop()
    following.check_log()
    if code != 0:
        raise Difference(f"the next process ends with {code}\n{following.tail()}")
    missing = compare(data, answered)
    told = following.lines("ERROR", "WARN")
    if missing and not (may_be_told and told):
        logs = "\n".join(
            line
            for path in sorted(data.parent.glob("log-*"))
            for line in path.read_text(errors="replace").splitlines()[-6:]
        )
        raise Difference(
            f"{len(missing)} of {len(answered)} answered leads have no record, as {sorted(missing)[:5]}\n{logs}"
        )
    return f"{len(answered)} answered, {len(missing)} lost and told"
