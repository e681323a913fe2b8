"""The records service as a process: store, application, port, and a stop that loses nothing."""

from __future__ import annotations

from collections.abc import Callable

from realtime.records.app import create_app
from realtime.runtime.allocator import share_one_arena
from realtime.runtime.serving import bind, serve
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings


def run(settings: RecordsSettings, *, announce: Callable[[str], None]) -> None:
    """Serve recordings until the process is told to stop.

    In order: the port is bound, the store opened (its tables made or brought up to date), the
    application started. At the end requests under way are answered, the compactor finishes its
    recording, and what waits to be written is written.

    Parameters
    ----------
    settings
        Where everything is.
    announce
        Called with the address once the port listens.

    Raises
    ------
    UsageError
        If the port is taken, or tokens are not required where they must be.
    """
    share_one_arena()
    bound = bind(settings.host, settings.port)
    try:
        with RecordingStore.open(
            settings.store_url, settings.catalog_url, settings.identity_path
        ) as store:
            serve(create_app(store, settings), bound, ready=announce)
    finally:
        bound.close()
