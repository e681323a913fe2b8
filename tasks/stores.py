"""The store of recordings that steps work on: that of the machine which does them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings, records_settings

OpenStore = Callable[[], AbstractContextManager[RecordingStore]]


def store_of(settings: RecordsSettings) -> RecordingStore:
    """Open the store that settings name; it is made, or brought up to date, where needed."""
    return RecordingStore.open(settings.store_url, settings.catalog_url, settings.identity_path)


def store_by_environment() -> RecordingStore:
    """Open the store that this process's environment names."""
    return store_of(records_settings())


def prepare_store() -> None:
    """Make sure that the store can be used at all, before anything is read for it."""
    with store_by_environment():
        pass
