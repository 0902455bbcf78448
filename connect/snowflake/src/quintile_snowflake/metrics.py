"""What a load has done, as Prometheus reads it: over HTTP, or as a file for node_exporter's textfile collector."""

from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Summary,
    start_http_server,
    write_to_textfile,
)

from quintile_snowflake.errors import Refused


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"quintile_snowflake_{name}", help_text, labels, registry=self.registry)

        def gauge(name: str, help_text: str) -> Gauge:
            return Gauge(f"quintile_snowflake_{name}", help_text, registry=self.registry)

        self.files = counter("files_loaded_total", "Files whose records stand in the table.")
        self.read = counter(
            "records_read_total",
            "Records in loaded files, those that stood there already too.",
        )
        self.inserted = counter("records_inserted_total", "Records that were new in the table.")
        self.refused = counter("files_refused_total", "Files that were not loaded, once for each attempt.")
        self.errors = counter("errors_total", "Rounds that failed, by kind: connect or load.", "kind")
        self.waiting = gauge("files_waiting", "Files that are not loaded yet.")
        self.oldest = gauge(
            "oldest_waiting_timestamp_seconds",
            "Since when the oldest of them waits; 0 if none does.",
        )
        self.success = gauge(
            "last_success_timestamp_seconds",
            "When a round last ended with nothing left to load.",
        )
        self.batch = Summary(
            "quintile_snowflake_batch_seconds",
            "How long a batch of files took.",
            registry=self.registry,
        )
        for kind in ("connect", "load"):
            self.errors.labels(kind)

    def listen(self, address: str) -> None:
        """Serves `/metrics` on HOST:PORT, on a thread of its own."""
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit():
            raise Refused(f"--metrics-listen {address}: must be HOST:PORT")
        try:
            start_http_server(int(port), host.strip("[]"), registry=self.registry)
        except (OSError, OverflowError) as error:
            raise Refused(f"--metrics-listen {address}: {error}") from None

    def write(self, path: Path) -> None:
        """Replaces the file in one step."""
        try:
            write_to_textfile(str(path), self.registry)
        except OSError as error:
            raise Refused(f"--metrics-file {path}: {error.strerror}") from None
