"""Any recording into the store: exact, whole or not at all, once, and going on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.edf import EdfSource
from storage.errors import (
    AlreadyExists,
    Busy,
    CorruptRecording,
    NotFound,
    StorageError,
    UnsupportedRecording,
    UsageError,
)
from storage.grid_source import place
from storage.leases import lease
from storage.protocols import RecordingSink, RecordingSource
from storage.recording import Annotation, Segment
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.contracts.recording_sink import GROUPS, RecordingSinkTests
from tests.support.edf_files import write_edf
from tests.support.stores import open_store
from tests.support.synthetic_recording import START_US, SyntheticGroup, SyntheticRecording


class TestStoreSink(RecordingSinkTests):
    """What every sink promises; a place is a name within one store."""

    @pytest.fixture(autouse=True)
    def _opened(self, tmp_path: Path) -> Iterator[None]:
        with open_store(tmp_path) as self.store:
            yield

    @pytest.fixture
    def where(self) -> str:
        return "written"

    def sink(self, place: str) -> RecordingSink:
        return _Named(self.store, place)

    def looks_whole(self, place: str) -> bool:
        return place in [entry.name for entry in self.store.catalog.recordings()]

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        entry = self.store.catalog.find(place)
        assert self.store.verify(entry).ok
        source = self.store.source(entry)
        return [
            source.read(number, Span(0, group.n_samples)).astype(np.float64)
            for number, group in enumerate(source.recording.groups)
        ]

    def test_the_same_again_changes_nothing(self, where: str) -> None:
        self.sink(where).write(SyntheticRecording(*GROUPS))
        entry = self.store.catalog.find(where)
        rows = len(self.store.catalog.audit(entry))
        signature = self.store.folder.signature()
        # Without a digest of its file a source is read again, and compared.
        result = self.store.sink(patient="p1", name=where, kind="made").store(
            SyntheticRecording(*GROUPS)
        )
        assert (result.outcome, result.entry) == ("unchanged", entry)
        assert len(self.store.catalog.audit(entry)) == rows
        assert self.store.folder.signature() == signature

    def test_another_recording_is_not_overwritten(self, where: str) -> None:
        super().test_another_recording_is_not_overwritten(where)
        sink = self.store.sink(patient="p1", name=where, kind="made")
        changed = [*GROUPS[:-1], replace(GROUPS[-1], gaps_us={})]
        for source in (SyntheticRecording(GROUPS[1]), SyntheticRecording(*changed)):
            result = sink.store(source)
            assert (result.outcome, result.entry) == ("refused", None)
            assert "another name" in str(result.reason)


class _Named:
    """A sink that returns the name that it was given."""

    def __init__(self, store: RecordingStore, name: str) -> None:
        self._sink = store.sink(patient="p1", name=name, kind="made")
        self._store, self._name = store, name

    def write(self, source: RecordingSource) -> str:
        where = self._sink.write(source)
        uuid = self._store.catalog.find(self._name).uuid
        assert where == f"{self._store.folder.url}/rec/{uuid}"
        return self._name


def with_stored_wide(dtype: str) -> str:
    return {"uint8": "int16", "uint16": "int32", "float16": "float32"}.get(dtype, "float64")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "uint32", "int64", "float16"])
def test_other_types_are_stored_in_wider_ones(local_store: RecordingStore, dtype: str) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=900, dtype=dtype))
    entry = local_store.sink(patient="p1", kind="made").store(source).entry
    assert entry is not None
    stored = local_store.source(entry)
    if dtype != "int8":
        assert stored.recording.groups[0].dtype == with_stored_wide(dtype)
    np.testing.assert_array_equal(
        stored.read(0, Span(0, 900)), source.read(0, Span(0, 900)).astype(np.float64)
    )


def test_integers_that_no_type_holds_are_refused(local_store: RecordingStore) -> None:
    class Great(SyntheticRecording):
        def read(
            self,
            group: int,
            span: Span,
            channels: Span | None = None,
            out: NDArray[np.generic] | None = None,
        ) -> NDArray[np.generic]:
            assert out is not None
            out[...] = 2**53 + 1
            return out

    source = Great(SyntheticGroup(n_samples=10, dtype="int64"))
    with pytest.raises(UnsupportedRecording, match=r"9007199254740993; only those up to"):
        local_store.sink(patient="p1", kind="made").store(source)
    with pytest.raises(UnsupportedRecording, match="complex64"):
        local_store.sink(patient="p1", kind="made").store(
            SyntheticRecording(SyntheticGroup(n_samples=10, dtype="complex64"))
        )


def test_a_file_goes_in_and_comes_out_byte_for_byte(store: RecordingStore, tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(
        path,
        plus="D",
        gaps={4: "2.5"},
        annotations=[(1, 2, "spike"), (3, 1, "wave"), (400, 1, "late")],
        tail=b"rest",
        patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry",
    )
    advanced: list[int] = []
    with EdfSource(str(path)) as source:
        sink = store.sink(patient="p1", kind="edf", progress=advanced.append)
        result = sink.store(source)
        assert (result.outcome, result.reason) == ("stored", None)
        entry = result.entry
        assert entry is not None
        samples = sum(each.n_samples * len(each.channels) for each in source.recording.groups)
        assert sum(advanced) == samples
        stored = store.source(entry)
        for number, group in enumerate(source.recording.groups):
            whole = Span(0, group.n_samples)
            np.testing.assert_array_equal(stored.read(number, whole), source.read(number, whole))
            assert list(stored.segments(number)) == list(source.segments(number))
        assert stored.recording.annotations == source.recording.annotations
        assert [each.beyond_end for each in store.catalog.annotations(entry)] == [
            False, False, True,
        ]  # fmt: skip
    assert b"".join(store.original(entry)) == path.read_bytes()
    assert store.verify(entry).ok
    # Nobody is named in the open.
    everything = b"".join(store.folder.read(name) for name in store.folder.names())
    assert b"Haagse" not in everything
    header = store.blob(entry, "header")
    assert header is not None
    assert b"Haagse" not in header
    identity = store.blob(entry, "identity")
    assert identity is not None
    assert b"Haagse" in identity
    assert store.blob(entry, "tail") == b"rest"
    assert store.blob(entry, "none") is None
    anonymous = b"".join(store.original(entry, with_names=False))
    assert anonymous[168:] == path.read_bytes()[168:]
    assert b"Haagse" not in anonymous


def test_the_same_file_again_is_not_even_read(local_store: RecordingStore, tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path)
    with EdfSource(str(path)) as source:
        entry = local_store.sink(patient="p1", kind="edf").store(source).entry
    signature = local_store.folder.signature()
    with EdfSource(str(path)) as source:
        source.read = None  # type: ignore[assignment, method-assign]
        again = local_store.sink(patient="p1", name="other", kind="edf").store(source)
        assert (again.outcome, again.entry) == ("unchanged", entry)
        assert entry is not None
        assert str(entry.uuid) in str(again.reason)
    assert local_store.folder.signature() == signature
    with EdfSource(str(path)) as source:
        other = local_store.sink(patient="p2", kind="edf").store(source)
        assert other.outcome == "stored"
    write_edf(path, records=11)
    with EdfSource(str(path)) as source:
        refused = local_store.sink(patient="p1", kind="edf").store(source)
        assert refused.outcome == "refused"


def test_a_digest_that_is_given_counts_for_other_sources(local_store: RecordingStore) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=900))
    sink = local_store.sink(patient="p1", kind="xdf", source_sha256="ab" * 32)
    assert sink.store(source).outcome == "stored"
    reads = len(source.reads)
    assert sink.store(source).outcome == "unchanged"
    assert len(source.reads) == reads


def test_names_can_be_dropped_for_good(local_store: RecordingStore, tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry")
    with EdfSource(str(path)) as source:
        result = local_store.sink(patient="p1", kind="edf", drop_identity=True).store(source)
    assert result.entry is not None
    assert local_store.blob(result.entry, "identity") is None
    assert any("not kept" in note for note in result.entry.notes)
    content = b"".join(local_store.original(result.entry))
    assert content[168:] == path.read_bytes()[168:]
    assert b"Haagse" not in content
    assert not (tmp_path / "identity.key").exists()


@pytest.mark.parametrize("dropped", [False, True])
def test_annotations_that_name_the_person_are_masked(
    local_store: RecordingStore, tmp_path: Path, dropped: bool
) -> None:
    path = tmp_path / "rec.edf"
    write_edf(
        path,
        plus="C",
        patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry",
        annotations=[(1.0, None, "HARRY moved"), (2.0, None, "eyes closed")],
    )
    with EdfSource(str(path)) as source:
        sink = local_store.sink(patient="p1", kind="edf", drop_identity=dropped)
        entry = sink.store(source).entry
    assert entry is not None
    texts = [one.annotation.text for one in local_store.catalog.annotations(entry)]
    assert texts == ["XXXXX moved", "eyes closed"]
    sealed = {blob.name for blob in local_store.catalog.blobs(entry) if blob.encrypted}
    assert sealed == (set() if dropped else {"identity", "annotations"})
    original = path.read_bytes()
    masked = b"".join(local_store.original(entry, with_names=False))
    assert masked[168:] == original[168:].replace(b"HARRY", b"XXXXX")
    assert b"".join(local_store.original(entry)) == (masked if dropped else original)
    assert local_store.verify(entry).ok


def test_a_key_that_is_gone_is_told(local_store: RecordingStore, tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry")
    with EdfSource(str(path)) as source:
        entry = local_store.sink(patient="p1", kind="edf").store(source).entry
    assert entry is not None
    (tmp_path / "identity.key").rename(tmp_path / "gone")
    with pytest.raises(NotFound, match="identity key"):
        b"".join(local_store.original(entry))
    assert b"".join(local_store.original(entry, with_names=False))
    with RecordingStore.open(local_store.folder.url, str(tmp_path / "other.db")) as keyless:
        write_edf(path, records=3)
        with EdfSource(str(path)) as source, pytest.raises(UsageError, match="have the fields"):
            keyless.sink(patient="p1", kind="edf").store(source)


def test_only_files_have_an_original(local_store: RecordingStore) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=900))
    entry = local_store.sink(patient="p1", kind="xdf").store(source).entry
    assert entry is not None
    with pytest.raises(NotFound, match="EDF or BDF"):
        local_store.original(entry)


def test_a_file_that_changes_while_it_is_read_is_not_sealed(
    local_store: RecordingStore, tmp_path: Path
) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path)
    with EdfSource(str(path)) as source:
        assert source.sha256
        content = bytearray(path.read_bytes())
        content[-700] ^= 1
        path.write_bytes(content)
        with pytest.raises(CorruptRecording, match="changed meanwhile"):
            local_store.sink(patient="p1", kind="edf").store(source)
    assert local_store.catalog.recordings() == []


def test_only_one_stores_a_recording(local_store: RecordingStore, tmp_path: Path) -> None:
    def again(group: int, span: Span) -> None:
        with pytest.raises(Busy, match="works on it"):
            local_store.sink(patient="p1", kind="made").store(
                SyntheticRecording(SyntheticGroup(n_samples=900))
            )

    source = SyntheticRecording(SyntheticGroup(n_samples=900), before_read=again)
    result = local_store.sink(patient="p1", kind="made").store(source)
    assert result.outcome == "stored"
    assert result.entry is not None
    with lease(local_store.catalog, result.entry, "test"):
        pass


def test_an_attempt_with_other_samples_is_not_gone_on_with(local_store: RecordingStore) -> None:
    class Broke(Exception):
        pass

    def stop(group: int, span: Span) -> None:
        if span.start:
            raise Broke

    group = SyntheticGroup(n_samples=1_400_000, n_channels=1)
    sink = local_store.sink(patient="p1", kind="made")
    with pytest.raises(Broke):
        sink.store(SyntheticRecording(group, before_read=stop))
    (entry,) = local_store.catalog.recordings(unfinished=True)
    assert local_store.verify(entry).ok

    class Other(SyntheticRecording):
        def read(
            self,
            group: int,
            span: Span,
            channels: Span | None = None,
            out: NDArray[np.generic] | None = None,
        ) -> NDArray[np.generic]:
            block = super().read(group, span, channels, out)
            block[5] = 1
            return block

    assert sink.store(Other(group)).outcome == "refused"
    assert sink.store(SyntheticRecording(group)).outcome == "stored"


def test_marks_of_a_source_are_kept(local_store: RecordingStore) -> None:
    class Marked(SyntheticRecording):
        def stamps_s(self, group: int, span: Span) -> NDArray[np.float64] | None:
            if group:
                return None
            return np.arange(span.start, span.stop) * 1e-3 + 1e-5 * (np.arange(len(span)) % 7)

    source = Marked(
        SyntheticGroup(n_samples=70_000, gaps_us={3000: 10**9}), SyntheticGroup(n_samples=500)
    )
    entry = local_store.sink(patient="p1", kind="xdf").store(source).entry
    assert entry is not None
    stored = local_store.source(entry)
    for span in (Span(0, 70_000), Span(2999, 3001), Span(5, 5)):
        found, told = stored.stamps_s(0, span), source.stamps_s(0, span)
        assert found is not None
        assert told is not None
        if span:
            np.testing.assert_allclose(found, told, atol=1e-4)
    assert stored.stamps_s(1, Span(0, 500)) is None
    assert local_store.verify(entry).ok


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(-400_000, 10**8)), min_size=1, max_size=8),
    st.sampled_from([1, 128, 256.0, 299.7, 1000 / 3]),
)
def test_stretches_lie_on_the_grid_where_their_times_say(
    stretches: list[tuple[int, int]], rate: float
) -> None:
    gaps: dict[int, int] = {}
    at = 0
    for length, pause in stretches:
        gaps[at] = pause
        at += length
    gaps.pop(0)
    source = SyntheticRecording(SyntheticGroup(n_samples=at, rate_hz=rate, gaps_us=gaps))
    found = list(place(source, 0))
    dense = stop = 0
    for stretch in found:
        assert stretch.dense.start == dense
        assert stretch.start >= stop
        dense, stop = stretch.dense.stop, stretch.span.stop
        told: list[Segment] = list(source.segments(0, stretch.dense))
        after = round(stretch.start * 1e6 / rate) + stretch.shift_us
        assert abs(START_US + after - told[0].start_us) <= 1
        if stretch.shift_us > 0:
            assert stretch.shift_us <= 1e6 / rate / 2 + 2
    assert dense == at


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_stored_recordings_with_any_gaps_equal_their_source(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    n_samples = data.draw(st.integers(1, 60_000))
    gaps = data.draw(st.dictionaries(st.integers(1, n_samples), st.integers(1, 10**9), max_size=12))
    rate = data.draw(st.sampled_from([64.0, 256.0, 333.3]))
    source = SyntheticRecording(
        SyntheticGroup(n_samples=n_samples, rate_hz=rate, gaps_us=gaps, n_channels=2)
    )
    with open_store(tmp_path_factory.mktemp("gaps")) as store:
        entry = store.sink(patient="p1", kind="made").store(source).entry
        assert entry is not None
        stored = store.source(entry)
        whole = Span(0, n_samples)
        np.testing.assert_array_equal(stored.read(0, whole), source.read(0, whole))
        for index in {0, n_samples - 1, *(at for at in gaps if at < n_samples)}:
            assert abs(stored.time_us(0, index) - source.time_us(0, index)) <= 1
        assert store.verify(entry).ok
        again = store.sink(patient="p1", kind="made").store(source)
        assert again.outcome == "unchanged"


def test_annotations_alone_make_a_recording(local_store: RecordingStore) -> None:
    source = SyntheticRecording()
    noted = Annotation(onset_us=5, text="lights off", channels=("A",))
    object.__setattr__(source.recording, "annotations", (noted,))
    entry = local_store.sink(patient="p1", kind="edf").store(source).entry
    assert entry is not None
    assert local_store.source(entry).recording.annotations == (noted,)
    assert local_store.verify(entry).ok


def test_an_ingest_that_is_killed_goes_on(tmp_path: Path) -> None:
    def run(fatal: int) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-m", "tests.support.killed_ingest", str(tmp_path), str(fatal)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        return result.returncode, result.stdout

    seen = 0
    for fatal in (3, 40, 90):
        code, _ = run(fatal)
        assert code == -signal.SIGKILL
        with open_store(tmp_path) as store:
            (entry,) = store.catalog.recordings(unfinished=True)
            assert store.catalog.recordings() == []
            report = store.verify(entry)
            assert report.ok, report.problems
            assert report.blocks >= seen
            seen = report.blocks
    code, output = run(10**9)
    assert code == 0
    assert json.loads(output)["outcome"] == "stored"
    with open_store(tmp_path) as store:
        (entry,) = store.catalog.recordings()
        assert store.verify(entry).ok
        assert not list(store.folder.leftovers())
        assert b"".join(store.original(entry)) == (tmp_path / "rec.edf").read_bytes()
    assert json.loads(run(10**9)[1])["outcome"] == "unchanged"


def test_a_full_disk_stops_it_and_the_next_one_goes_on(
    local_store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=900))
    real = os.replace

    def full(old: str, new: str) -> None:
        raise OSError(28, "No space left on device", new)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        local_store.sink(patient="p1", kind="made").store(source)
    monkeypatch.setattr(os, "replace", real)
    assert local_store.sink(patient="p1", kind="made").store(source).outcome == "stored"
    with pytest.raises(AlreadyExists):
        local_store.sink(patient="p1", kind="other").write(source)
