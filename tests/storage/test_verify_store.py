"""A flipped byte anywhere, or a changed row, is found and named."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from storage import sealing
from storage.audit import AuditEvent
from storage.catalog import RecordingEntry
from storage.edf import EdfSource
from storage.recording import Annotation
from storage.recording_store import RecordingStore, VerifyReport
from storage.spans import Span
from tests.support.edf_files import signals, write_edf
from tests.support.stores import BLOCK, append, chunk, fill, live, open_store, pieces
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingStore]:
    with open_store(tmp_path_factory.mktemp("verified")) as store:
        yield store


@pytest.fixture(scope="module")
def sealed(shared: RecordingStore) -> RecordingEntry:
    """A recording with generations, gaps, late chunks, a refused chunk and annotations."""
    shared.sink(patient="p2", kind="made").store(SyntheticRecording())
    entry, group = live(shared, channels=2, name="sealed")
    spans = [span for span in pieces(5 * BLOCK, 4000) if span.start != 8000]
    late = spans.pop(1)
    fill(shared, entry, group, spans)
    shared.compact(entry)
    fill(shared, entry, group, [late])
    offered = chunk(entry, group, spans[0], seed=1)
    shared.append([offered]).result(timeout=60)
    shared.catalog.add_annotation(entry, Annotation(onset_us=1, text="x"), "tester")
    return shared.seal(entry)


@pytest.fixture(scope="module")
def open_one(shared: RecordingStore) -> RecordingEntry:
    """A recording that is still live, partly in blocks."""
    entry, group = live(shared, channels=2, name="open")
    fill(shared, entry, group, pieces(2 * BLOCK + 500, 4000))
    shared.compact(entry)
    return entry


@pytest.fixture(scope="module")
def file(shared: RecordingStore, tmp_path_factory: pytest.TempPathFactory) -> RecordingEntry:
    """A recording that came from a file."""
    path = tmp_path_factory.mktemp("file") / "rec.edf"
    write_edf(
        path,
        signals=signals(2),
        plus="C",
        annotations=[(1, 2, "spike")],
        patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry",
        tail=b"rest",
    )
    with EdfSource(str(path)) as source:
        entry = shared.sink(patient="p1", kind="edf").store(source).entry
    assert entry is not None
    return entry


def files_of(store: RecordingStore, entry: RecordingEntry) -> list[Path]:
    root = Path(store.folder.url)
    return [root / name for name in store.folder.names(f"rec/{entry.uuid}/")]


def test_what_nobody_changed_holds(
    shared: RecordingStore,
    sealed: RecordingEntry,
    open_one: RecordingEntry,
    file: RecordingEntry,
) -> None:
    for entry in (sealed, open_one, file):
        advanced: list[int] = []
        report = shared.verify(entry, advanced.append)
        assert report.ok, report.problems
        assert report.unknown == ()
        assert report.files == len(files_of(shared, entry))
        assert sum(advanced) == report.samples > 0
        assert report.rows == len(shared.catalog.audit(entry))
        assert report.head == shared.catalog.audit(entry)[-1].hash
    assert shared.verify(sealed).blocks == 6


@pytest.mark.parametrize("which", ["sealed", "open_one", "file"])
def test_a_flipped_bit_in_any_file_is_found_and_named(
    which: str, shared: RecordingStore, request: pytest.FixtureRequest
) -> None:
    entry: RecordingEntry = request.getfixturevalue(which)
    rng = random.Random(which)
    for path in files_of(shared, entry):
        content = path.read_bytes()
        for _ in range(2):
            at = rng.randrange(len(content))
            damaged = bytearray(content)
            damaged[at] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            report = shared.verify(entry)
            assert any(problem.where == str(path) for problem in report.problems), (path, at)
        path.unlink()
        report = shared.verify(entry)
        assert any(problem.where == str(path) for problem in report.problems), path
        assert any("gone" in problem.message for problem in report.problems)
        path.write_bytes(content)
    assert shared.verify(entry).ok


def test_the_first_row_that_does_not_hold_is_named_first(
    shared: RecordingStore, sealed: RecordingEntry
) -> None:
    (group,) = shared.groups(sealed)
    block = shared.catalog.blocks(group)[2]
    path = Path(shared.folder.url) / "rec" / str(sealed.uuid) / block.key
    content = path.read_bytes()
    damaged = bytearray(content)
    # In the samples of the first chunk of 2048 samples.
    damaged[100] ^= 1
    path.write_bytes(damaged)
    report = shared.verify(sealed)
    path.write_bytes(content)
    touched = [
        each
        for each in shared.catalog.chunks(group)
        if each.start < 2 * BLOCK + 2048 and each.stop > 2 * BLOCK
    ]
    found = [problem.sequence for problem in report.problems]
    assert found[: len(touched)] == sorted(each.sequence for each in touched)
    assert report.problems[0].where == (f"group 0, samples {touched[0].start} to {touched[0].stop}")
    rows = {row.sequence: row for row in shared.catalog.audit(sealed)}
    assert found[-1] is not None
    assert rows[found[-1]].event == "block"
    assert report.problems[-1].where == str(path)
    assert str(report.problems[-1]).startswith(f"audit row {found[-1]}: {path}: its SHA-256 is")


CHANGES = [
    "UPDATE audit SET source = 'x' WHERE sequence = 4 AND recording_id = :id",
    "UPDATE audit SET ingested_at = '2000-01-01T00:00:00.000000Z' "
    "WHERE sequence = 4 AND recording_id = :id",
    "UPDATE audit SET detail = '{}' WHERE event = 'block' AND recording_id = :id",
    "UPDATE audit SET detail = '[]' WHERE event = 'sealed' AND recording_id = :id",
    "UPDATE audit SET detail = '[]' WHERE recording_id = :id",
    "UPDATE audit SET checksum = NULL WHERE event = 'block' AND recording_id = :id",
    "UPDATE audit SET detail = '{' WHERE event = 'block' AND recording_id = :id",
    "UPDATE recording SET notes = 'x' WHERE id = :id",
    "UPDATE block SET files = '[' WHERE number = 2 AND group_id = :group",
    "UPDATE rate_group SET dtype = 'int17' WHERE id = :group",
    "DELETE FROM audit WHERE sequence = 4 AND recording_id = :id",
    "DELETE FROM audit WHERE event = 'sealed' AND recording_id = :id",
    "UPDATE chunk SET sha256 = 'ab' WHERE start = 4000 AND group_id = :group",
    "UPDATE chunk SET shift_us = 5 WHERE start = 4000 AND group_id = :group",
    "UPDATE chunk SET n_samples = 3999 WHERE start = 4000 AND group_id = :group",
    "DELETE FROM chunk WHERE start = 4000 AND group_id = :group",
    "INSERT INTO chunk (group_id, start, n_samples, shift_us, sha256, sequence) "
    "VALUES (:group, 999999, 5, 0, 'ab', 7)",
    "UPDATE block SET sha256 = 'ab' WHERE number = 2 AND group_id = :group",
    "UPDATE block SET generation = 5 WHERE number = 2 AND group_id = :group",
    "UPDATE block SET files = '{}' WHERE number = 2 AND group_id = :group",
    "UPDATE block SET key = 'g0/sig/0/c/0/1' WHERE number = 2 AND group_id = :group",
    "DELETE FROM block WHERE number = 2 AND group_id = :group",
    "DELETE FROM block WHERE number = 0 AND generation = 1 AND group_id = :group",
    "UPDATE segment SET shift_us = 1 WHERE group_id = :group",
    "DELETE FROM segment WHERE group_id = :group",
    "UPDATE seal SET head = 'ab' WHERE recording_id = :id",
    "DELETE FROM seal WHERE recording_id = :id",
    "UPDATE rate_group SET rate_numerator = 65 WHERE id = :group",
    "UPDATE rate_group SET codec = 'pcodec' WHERE id = :group",
    "UPDATE channel SET factor = 2 WHERE group_id = :group",
    "UPDATE channel SET unit = 'V' WHERE group_id = :group",
    "UPDATE channel SET label = 'x' WHERE number = 0 AND group_id = :group",
    "UPDATE recording SET start_us = 1 WHERE id = :id",
    "UPDATE recording SET name = 'x' WHERE id = :id",
    "UPDATE recording SET patient_id = 3 - patient_id WHERE id = :id",
    "UPDATE patient SET name = 'x' WHERE id = (SELECT patient_id FROM recording WHERE id = :id)",
    "UPDATE annotation SET text = 'y' WHERE recording_id = :id",
    "DELETE FROM annotation WHERE recording_id = :id",
    "UPDATE quarantine SET body = zeroblob(length(body)) WHERE group_id = :group",
    "DELETE FROM quarantine WHERE group_id = :group",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_found(
    change: str, shared: RecordingStore, sealed: RecordingEntry
) -> None:
    (group,) = shared.groups(sealed)
    report = verify_after(shared, sealed, change, id=sealed.id, group=group.id)
    assert not report.ok
    assert all("\n" not in str(problem) for problem in report.problems)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chunk_body SET body = zeroblob(length(body)) WHERE group_id = :group",
        "DELETE FROM chunk_body WHERE group_id = :group",
    ],
)
def test_a_changed_body_is_found(
    change: str, shared: RecordingStore, open_one: RecordingEntry
) -> None:
    (group,) = shared.groups(open_one)
    report = verify_after(shared, open_one, change, group=group.id)
    assert [problem.sequence for problem in report.problems] == [
        each.sequence for each in shared.catalog.inbox_places(group)
    ]


@pytest.mark.parametrize(
    "change",
    ["UPDATE blob SET encrypted = 0 WHERE recording_id = :id", "DELETE FROM blob"],
)
def test_a_changed_blob_is_found(change: str, shared: RecordingStore, file: RecordingEntry) -> None:
    report = verify_after(shared, file, change, **({"id": file.id} if ":id" in change else {}))
    assert not report.ok


def verify_after(
    store: RecordingStore, entry: RecordingEntry, change: str, **values: int
) -> VerifyReport:
    """Change a row as an intruder would who drops the triggers; put all back afterwards."""
    with changed(store, [change], **values) as other:
        return other.verify(entry)


@contextmanager
def changed(store: RecordingStore, changes: list[str], **values: int) -> Iterator[RecordingStore]:
    place = store.catalog.engine.url.database
    assert place is not None
    copy = Path(place).with_name("changed.db")
    with store.catalog.engine.begin() as connection:
        copy.unlink(missing_ok=True)
        connection.connection.driver_connection.commit()  # type: ignore[union-attr]
        connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
        connection.exec_driver_sql("BEGIN")
    with RecordingStore.open(store.folder.url, str(copy)) as other:
        with other.catalog.engine.begin() as connection:
            connection.connection.driver_connection.commit()  # type: ignore[union-attr]
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN")
            _drop_triggers(connection)
            for change in changes:
                assert connection.execute(text(change), values).rowcount
        yield other


def _drop_triggers(connection: Connection) -> None:
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    for row in connection.execute(text(query)).all():
        connection.execute(text(f'DROP TRIGGER "{row.name}"'))


def test_what_dead_workers_left_is_told_apart(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    append(local_store, [chunk(entry, group, Span(0, BLOCK))])
    local_store.compact(entry)
    # Waits for the next block, which a worker may have begun to write.
    append(local_store, [chunk(entry, group, Span(BLOCK, BLOCK + 10))])
    root = f"rec/{entry.uuid}"
    left = [
        f"{root}/g0/sig/0/c/0/1",
        f"{root}/overview/mm1024/0/zarr.json",
        f"{root}/g0/mm64/0/c/0/0/1.0123456789abcdef.part",
    ]
    for name in left:
        put(local_store, name)
    report = local_store.verify(entry)
    assert report.ok, report.problems
    assert set(report.unknown) == set(left)
    local_store.seal(entry)
    report = local_store.verify(entry)
    assert (report.problems, report.unknown) == ((), ())


ADDED = [
    "g0/sig/0/c/0/7",
    "g3/sig/0/c/0/0",
    "g0/sig/9/c/0/0",
    "g0/sig/0/c/0/x",
    "stray",
    "g0/sig/0/c/0/5.part",
    "g0/sig/0/c/0/0.0123456789abcdef.part",
    "blobs/header.gz",
]


@pytest.mark.parametrize("added", ADDED)
def test_an_added_file_is_named(
    added: str, shared: RecordingStore, sealed: RecordingEntry, open_one: RecordingEntry
) -> None:
    for entry in (sealed, open_one):
        if entry is open_one and added.endswith("/0.0123456789abcdef.part"):
            continue
        place = put(shared, f"rec/{entry.uuid}/{added}")
        report = shared.verify(entry)
        place.unlink()
        assert [problem.where for problem in report.problems] == [str(place)]
        assert "nothing speaks of this file" in report.problems[0].message


def put(store: RecordingStore, name: str) -> Path:
    place = Path(store.folder.url) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"never entered")
    return place


def test_a_file_that_cannot_be_read_is_named(
    shared: RecordingStore, sealed: RecordingEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (group,) = shared.groups(sealed)
    broken = (
        Path(shared.folder.url) / "rec" / str(sealed.uuid) / shared.catalog.blocks(group)[1].key
    )
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path == broken:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    report = shared.verify(sealed)
    assert {problem.where for problem in report.problems} == {str(broken)}
    assert "cannot be read (Input/output error)" in report.problems[0].message


def test_a_folder_in_the_place_of_a_file_is_named(
    shared: RecordingStore, sealed: RecordingEntry
) -> None:
    (group,) = shared.groups(sealed)
    place = Path(shared.folder.url) / "rec" / str(sealed.uuid) / shared.catalog.blocks(group)[1].key
    content = place.read_bytes()
    place.unlink()
    place.mkdir()
    report = shared.verify(sealed)
    place.rmdir()
    place.write_bytes(content)
    assert str(place) in {problem.where for problem in report.problems}


# --- what the store vouches for ------------------------------------------------------------------

CUT = "DELETE FROM audit WHERE recording_id = :id AND sequence >= :at"


def test_rows_that_were_cut_off_are_missed(
    shared: RecordingStore, open_one: RecordingEntry
) -> None:
    shared.catalog.log(open_one, [AuditEvent(event="exported", source="me")])
    last = shared.verify(open_one).rows
    report = verify_after(shared, open_one, CUT, id=open_one.id, at=last)
    where = str(Path(shared.folder.url) / "rec" / str(open_one.uuid) / "head.json")
    (problem,) = report.problems
    assert problem.where == where
    assert f"row {last} of the chain had the hash" in problem.message
    # It stays the proof of that.
    report = verify_after(shared, open_one, CUT, id=open_one.id, at=last)
    assert [each.where for each in report.problems] == [where]


def test_a_recording_is_vouched_for_from_its_beginning(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    report = verify_after(local_store, entry, CUT, id=entry.id, at=2)
    assert any("rows were cut off" in problem.message for problem in report.problems)
    append(local_store, [chunk(entry, group, span) for span in pieces(BLOCK, 4096)])
    report = local_store.verify(entry)
    assert (report.vouched, report.rows) == (2, 6)
    assert local_store.verify(entry).vouched == 6
    local_store.compact(entry)
    assert local_store.verify(entry).vouched == 7
    local_store.seal(entry)
    report = local_store.verify(entry)
    assert report.vouched == report.rows == 8


def test_metadata_of_an_earlier_generation_keeps_its_length(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    spans = pieces(4 * BLOCK, BLOCK // 2)
    fill(local_store, entry, group, [span for span in spans[:4] if span != spans[1]])
    far = chunk(entry, group, Span(9 * BLOCK, 9 * BLOCK + 100))
    append(local_store, [far])
    with _no_seal():
        fill(local_store, entry, group, [spans[1]])
        with pytest.raises(_Killed):
            local_store.seal(entry)
    # A sealing was cut short after all files were written; then the recording grew.
    assert local_store.verify(entry).ok, local_store.verify(entry).problems
    fill(local_store, entry, group, [Span(11 * BLOCK, 12 * BLOCK)])
    local_store.compact(entry)
    report = local_store.verify(entry)
    assert report.ok, report.problems


class _Killed(Exception):
    pass


@contextmanager
def _no_seal() -> Iterator[None]:
    def die(*arguments: object) -> bool:
        raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "commit_seal", die)
        yield


# --- recordings that are missing -----------------------------------------------------------------

GONE = [
    (
        ["DELETE FROM recording WHERE id = 1"],
        "audit: {rows} rows are of recording 1, which is missing",
    ),
    (["DELETE FROM patient WHERE id = 1"], "its patient (row 1) is missing"),
    (["UPDATE recording SET patient_id = 7 WHERE id = 1"], "its patient (row 7) is missing"),
    (["UPDATE recording SET uuid = 'x' WHERE id = 1"], "its row of the catalogue cannot be read"),
    (["UPDATE recording SET created_at = 'x' WHERE id = 1"], "its row of the catalogue cannot be"),
    (["UPDATE patient SET created_at = '2020-01-01 00:00:00.000000'"], "not entered with it"),
    (["INSERT INTO patient VALUES (9, 'p9', '2020-01-01 00:00:00.000000')"], "has no recording"),
    (["UPDATE annotation SET id = id + 1000"], "rows were removed or renumbered"),
    (["UPDATE channel SET in_double = 2"], "channel: in_double 2 is not what was written"),
    (
        [
            f"DELETE FROM {table} WHERE recording_id = 1"
            for table in ("audit", "annotation", "rate_group", "recording")
        ],
        "files, and no recording of the catalogue has them",
    ),
]


@pytest.mark.parametrize(("changes", "says"), GONE)
def test_a_missing_recording_is_named(
    changes: list[str], says: str, local_store: RecordingStore
) -> None:
    first, group = live(local_store, name="first")
    live(local_store, name="second")
    fill(local_store, first, group, pieces(BLOCK, 4096))
    local_store.compact(first)
    local_store.catalog.add_annotation(first, Annotation(onset_us=1, text="x"), "me")
    rows = local_store.verify(first).rows
    found = local_store.survey()
    assert [(one.name, one.problems) for one in found] == [("first", ()), ("second", ())]
    changes = [
        change.replace("recording WHERE recording_id", "recording WHERE id") for change in changes
    ]
    with changed(local_store, changes) as other:
        found = other.survey()
    problems = [(one.name, one.uuid, text) for one in found for text in one.problems]
    assert any(says.format(rows=rows) in text for _, _, text in problems), problems
    named = {name or uuid for name, uuid, _ in problems}
    if changes[0].startswith(("UPDATE recording", "DELETE")) and "uuid" not in changes[0]:
        assert named & {"first", str(first.uuid)}
    with changed(local_store, changes) as other:
        assert [one for one in other.survey("nobody") if one.entry] == []


def test_a_recording_without_files_is_missed_too(local_store: RecordingStore) -> None:
    entry, _ = live(local_store)
    with changed(local_store, []) as other:
        shutil.copytree(
            Path(local_store.folder.url) / "rec" / str(entry.uuid),
            Path(local_store.folder.url) / "rec" / "11111111-1111-1111-1111-111111111111",
        )
        one, same = other.survey()
    assert one.uuid == "11111111-1111-1111-1111-111111111111"
    assert one.entry is None
    assert "no recording of the catalogue has them" in one.problems[0]
    assert (same.uuid, same.problems) == (str(entry.uuid), ())


def test_an_unfinished_ingest_holds(local_store: RecordingStore) -> None:
    class Broke(Exception):
        pass

    def stop(group: int, span: Span) -> None:
        if span.start:
            raise Broke

    source = SyntheticRecording(SyntheticGroup(n_samples=1_400_000, n_channels=1), before_read=stop)
    with pytest.raises(Broke):
        local_store.sink(patient="p1", kind="made").store(source)
    (entry,) = local_store.catalog.recordings(unfinished=True)
    report = local_store.verify(entry)
    assert report.ok, report.problems
    assert report.blocks == 1


def test_in_a_bucket_too(store: RecordingStore) -> None:
    entry, group = live(store)
    fill(store, entry, group, pieces(BLOCK + 10, 4000))
    entry = store.seal(entry)
    assert store.verify(entry).ok
    (block, _) = store.catalog.blocks(group)
    name = f"rec/{entry.uuid}/{block.key}"
    content = bytearray(store.folder.read(name))
    content[-1] ^= 1
    store.folder.write(name, [content])
    report = store.verify(entry)
    assert f"{store.folder.url}/{name}" in [problem.where for problem in report.problems]
    store.folder.delete(name)
    assert any("gone" in problem.message for problem in store.verify(entry).problems)
