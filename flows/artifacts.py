"""What a flow run shows on its page besides its log: progress, results, a link."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 10.0

Made = TypeVar("Made")


def made_or_warned(make: Callable[[], Made], what: str) -> Made | None:
    """Make something that is only shown; where that fails, warn and go on without it."""
    try:
        return make()
    except (PrefectException, httpx.HTTPError, RuntimeError) as error:
        # Prefect's client raises a bare RuntimeError where the server does not answer.
        log.warning("%s is not shown: %s", what, error)
        return None


def show_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Show a table."""
    made_or_warned(
        lambda: create_table_artifact(table=list(rows), key=key, description=description),
        "the table of results",
    )


def show_link(key: str, url: str, description: str) -> None:
    """Show a link to a folder on disk or in a bucket."""
    link = url if "://" in url else Path(url).as_uri()
    made_or_warned(
        lambda: create_link_artifact(link=link, link_text=url, key=key, description=description),
        "the link to the output",
    )


class ProgressArtifact:
    """Progress of a flow run as an artifact and as log lines, both seldom.

    Every update is a request to the server, and 10,000 log lines cost it 15 s.

    Parameters
    ----------
    key
        Name of the artifact.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._artifact: UUID | None = None
        self._what, self._unit = "", ""
        self._total = self._done = 0
        self._shown: tuple[str, int] | None = None
        self._next_s = 0.0

    @property
    def total(self) -> int:
        """Units of the present stage."""
        return self._total

    def stage(self, what: str, total: int, unit: str) -> None:
        """Begin a stage of ``total`` units."""
        with self._lock:
            self._what, self._total, self._unit, self._done = what, total, unit, 0
            self._show_if_due()

    def advance(self, done: int) -> None:
        """Note that some more units are done."""
        with self._lock:
            self._done += done
            self._show_if_due()

    def close(self) -> None:
        """Show how far it came in the end."""
        with self._lock:
            self._show()

    def _show_if_due(self) -> None:
        if time.monotonic() >= self._next_s:
            self._show()

    def _show(self) -> None:
        percent = 100 * self._done / self._total if self._total else 100.0
        state = (self._what, self._done)
        if not self._what or state == self._shown:
            return
        self._shown = state
        self._next_s = time.monotonic() + SECONDS_BETWEEN_UPDATES
        log.info("%s: %d %% of %s %s", self._what, percent, f"{self._total:,}", self._unit)
        artifact = self._artifact
        if artifact is None:
            self._artifact = made_or_warned(
                lambda: cast(
                    "UUID",
                    create_progress_artifact(
                        progress=percent, key=self._key, description=self._what
                    ),
                ),
                "the progress",
            )
        else:
            made_or_warned(
                lambda: update_progress_artifact(
                    artifact_id=artifact, progress=percent, description=self._what
                ),
                "the progress",
            )
