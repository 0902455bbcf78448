"""Rounds: look at the source, load what is new; once, or for ever with a pause in between."""

import argparse
import logging
import random
import signal
import sys
import threading
import time
from collections.abc import Callable

from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error as SnowflakeError
from tqdm import tqdm

from quintile_snowflake.errors import Refused
from quintile_snowflake.load import Loader, Options, Result, batches
from quintile_snowflake.metrics import Metrics
from quintile_snowflake.source import RecordFile, Source

_LOG = logging.getLogger("quintile_snowflake")
_PAUSE_SECONDS_MAX = 300.0


class Rounds:
    """What the command `load` does."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        source: Source,
        metrics: Metrics,
        connect: Callable[[], SnowflakeConnection],
        options: Options,
    ) -> None:
        self._arguments = arguments
        self._options = options
        self._source = source
        self._metrics = metrics
        self._connect = connect
        self._stop = threading.Event()
        self._refused = 0
        self._failures = 0
        self._began = False
        """Whether a session has ever come so far that it could load."""

    def run(self) -> int:
        """The exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        while not self._stop.is_set():
            loader = None
            try:
                with self._connect() as connection:
                    loader = Loader(connection, self._source, self._options, self._metrics)
                    self._began = True
                    self._rounds(loader)
                break
            except (SnowflakeError, OSError) as error:
                self._metrics.errors.labels("load" if loader else "connect").inc()
                self._write()
                said = f"Snowflake: {error}" if isinstance(error, SnowflakeError) else str(error)
                if not self._began:
                    raise Refused(said) from None
                _LOG.error("%s", said)
                if not self._arguments.watch:
                    return 1
                self._pause()
        return 1 if self._refused else 0

    def _rounds(self, loader: Loader) -> None:
        while True:
            self._round(loader)
            self._failures = 0
            self._write()
            if not self._arguments.watch or self._stop.wait(self._arguments.interval):
                return

    def _pause(self) -> None:
        """Longer after each failure, and not the same for all programs that have lost the same server."""
        self._failures += 1
        pause = min(_PAUSE_SECONDS_MAX, self._arguments.interval * 2 ** min(self._failures, 8))
        pause *= random.uniform(0.5, 1)
        _LOG.warning("the next attempt is in %.1f s", pause)
        self._stop.wait(pause)

    def _round(self, loader: Loader) -> None:
        total = Result()
        files = loader.pending()
        size = sum(file.size for file in files)
        quiet = self._arguments.no_progress or not sys.stderr.isatty() or not files
        with tqdm(total=size, unit="B", unit_scale=True, desc="loading", disable=quiet) as bar:

            def progress(file: RecordFile) -> None:
                bar.update(file.size)

            for batch in batches(files, self._options.batch_files, self._options.batch_bytes):
                if self._stop.is_set():
                    break
                loader.load(batch, progress, total)
        self._refused += total.refused
        if not loader.pending():
            self._metrics.success.set(time.time())
        if files or not self._arguments.watch:
            _LOG.info(
                "%d files with %d records: %d are new in %s; %d files were refused",
                total.files,
                total.read,
                total.inserted,
                self._options.table.name,
                total.refused,
            )

    def _write(self) -> None:
        if self._arguments.metrics_file:
            self._metrics.write(self._arguments.metrics_file)
