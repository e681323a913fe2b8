"""A catalogue's identities depend on one key, and no other one takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from storage.catalog import Catalog
from storage.catalog_tables import blob
from storage.edf import EdfSource
from storage.errors import NotFound, StorageError, UsageError
from storage.events_check import check_events
from storage.identity import IdentityKey
from storage.identity_keys import key_of
from storage.recording_store import RecordingStore
from tests.support.catalogs import made
from tests.support.edf_files import signals, write_edf
from tests.support.stores import open_store


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "identity.key"


def test_it_is_made_once_and_stays(catalog: Catalog, place: Path) -> None:
    first = key_of(catalog, place)
    assert key_of(catalog, place).id == first.id == IdentityKey.load(place).id
    assert check_events(catalog) == []


def test_one_that_is_there_already_is_used(catalog: Catalog, place: Path) -> None:
    there = IdentityKey.load_or_create(place)
    assert key_of(catalog, place).id == there.id


def test_a_lost_one_is_not_replaced(catalog: Catalog, place: Path) -> None:
    lost = key_of(catalog, place)
    place.unlink()
    with pytest.raises(NotFound, match=rf"identity.key: the identity key {lost.id} is expected"):
        key_of(catalog, place)
    assert not place.exists()


def test_another_one_is_refused_at_once(catalog: Catalog, place: Path) -> None:
    lost = key_of(catalog, place)
    place.unlink()
    other = IdentityKey.load_or_create(place)
    with pytest.raises(StorageError, match=rf"is the identity key {other.id}, .* on {lost.id}; b"):
        key_of(catalog, place)


def test_none_is_made_where_anything_is_sealed(catalog: Catalog, place: Path) -> None:
    entry, _ = made(catalog)
    sealed = {"name": "identity", "key": "k", "bytes": 1, "sha256": "x", "encrypted": True}
    with catalog.writing() as connection:
        connection.execute(insert(blob).values(recording_id=entry.id, **sealed))
    with pytest.raises(NotFound, match="the identity key is expected there"):
        key_of(catalog, place)
    assert not place.exists()
    (problem,) = check_events(catalog)
    assert "does not say with which key" in str(problem)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, two = (
        write_edf(tmp_path / f"{n}.edf", signals=signals(1), records=n + 1, patient="Sally")
        for n in range(2)
    )
    return one, two


def _ingest(store: RecordingStore, path: Path, drop_identity: bool = False) -> str:
    with EdfSource(str(path)) as source:
        sink = store.sink(patient="p", kind="edf", drop_identity=drop_identity)
        return sink.store(source).outcome


def test_nothing_is_stored_without_the_key(
    database_url: str, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    key, elsewhere = tmp_path / "identity.key", tmp_path / "elsewhere.key"
    with open_store(tmp_path, database_url=database_url) as store:
        assert _ingest(store, files[0]) == "stored"
        (entry,) = store.catalog.recordings()
        key.rename(elsewhere)
        with pytest.raises(NotFound, match="--drop-identity"):
            _ingest(store, files[1])
        assert store.catalog.recordings(unfinished=True) == [entry]
        assert _ingest(store, files[0]) == "unchanged"
        assert _ingest(store, files[1], drop_identity=True) == "stored"
        assert not key.exists()
        elsewhere.rename(key)
        identity = store.blob(entry, "identity")
        assert identity is not None
        assert identity.startswith(b"Sally")


def test_without_a_place_for_a_key_nothing_is_begun(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    store = RecordingStore.open(str(tmp_path / "store"), str(tmp_path / "catalog.db"))
    with store:
        with pytest.raises(UsageError, match="name a file for it"):
            _ingest(store, files[0])
        assert store.catalog.recordings(unfinished=True) == []
