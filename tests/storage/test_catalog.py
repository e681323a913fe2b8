"""Recordings, groups and channels in the catalogue."""

from __future__ import annotations

import dataclasses
import threading
from fractions import Fraction
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.audit import AuditEvent, check_chain
from storage.catalog import (
    AmbiguousRecording,
    Catalog,
    ComputedResult,
    NewChannel,
    NewGroup,
    NewRecording,
    RecordingEntry,
)
from storage.catalog_check import check_rows
from storage.catalog_groups import channel_keys
from storage.database import utc_now
from storage.errors import AlreadyExists, NotFound, UsageError
from storage.ingest import Appender
from storage.recording import Channel
from storage.scaling import Scaling
from tests.support.catalogs import chunk, made, new_group, new_recording


def test_a_recording_is_found_by_what_it_is_called(catalog: Catalog) -> None:
    entry = catalog.create(new_recording("night", "p1"), "test")
    assert catalog.find("night") == entry
    assert catalog.find("night", "p1") == entry
    assert catalog.find(str(entry.uuid)) == entry
    assert catalog.find(str(entry.uuid).upper(), "p1") == entry
    for name, patient in (("day", None), ("night", "p2"), (str(uuid4()), None)):
        with pytest.raises(NotFound):
            catalog.find(name, patient)
    assert (entry.patient, entry.name, entry.kind, entry.sealed) == ("p1", "night", "live", False)
    assert entry.notes == ("made",)
    assert entry.created_at.tzinfo is not None
    assert abs((utc_now() - entry.created_at).total_seconds()) < 60


def test_a_name_of_several_patients_needs_the_patient(catalog: Catalog) -> None:
    one = catalog.create(new_recording("night", "p1"), "test")
    two = catalog.create(new_recording("night", "p2"), "test")
    with pytest.raises(AmbiguousRecording, match=r"'p1' and 'p2'.*say which patient"):
        catalog.find("night")
    assert catalog.find("night", "p1") == one
    assert catalog.find("night", "p2") == two
    assert catalog.find(str(two.uuid)) == two


def test_a_name_like_a_uuid_hides_no_other_recording(catalog: Catalog) -> None:
    one, _ = made(catalog)
    catalog.create(new_recording(str(one.uuid), "p2"), "test")
    assert catalog.find(str(one.uuid)) == one
    assert catalog.find(str(one.uuid), "p2").patient == "p2"


@pytest.mark.parametrize(
    "name", ["ünïcode 文", "a/b?c=d", "chb01_03.edf", " ", "文" * 500, "'; --"]
)
def test_names_are_kept_as_they_are(catalog: Catalog, name: str) -> None:
    catalog.create(new_recording(name, name), "test")
    entry = catalog.find(name, name)
    assert (entry.name, entry.patient) == (name, name)
    assert check_rows(catalog, entry).problems == []


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 501])
def test_impossible_names_are_refused(catalog: Catalog, name: str) -> None:
    for new in (new_recording(name), new_recording(patient=name)):
        with pytest.raises(UsageError, match="expected 1 to 500 characters"):
            catalog.create(new, "test")


def test_the_same_declaration_again_changes_nothing(catalog: Catalog) -> None:
    entry = catalog.create(new_recording(groups=2), "test")
    before = catalog.audit(entry)
    assert catalog.create(new_recording(groups=2), "other") == entry
    assert catalog.create(new_recording(groups=1), "other") == entry
    assert catalog.audit(entry) == before
    assert [row.event for row in before] == ["created", "group", "group"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "edf"}, "its kind is 'live', not 'edf'"),
        ({"start_us": None}, "its start_us is"),
        ({"source_sha256": "00"}, "its source_sha256 is None"),
        ({"groups": [new_group(["Fp2"])]}, "its group '256 Hz' is not as declared"),
        ({"groups": [new_group(name="group 0", dtype="int32")]}, "is not as declared"),
    ],
)
def test_another_declaration_of_that_name_is_refused(
    catalog: Catalog, change: dict[str, Any], says: str
) -> None:
    entry = catalog.create(new_recording(), "test")
    with pytest.raises(AlreadyExists, match=says):
        catalog.create(dataclasses.replace(new_recording(), **change), "test")
    assert len(catalog.audit(entry)) == 2


def test_one_of_many_who_declare_at_once_creates(catalog: Catalog) -> None:
    found: list[RecordingEntry] = []
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        found.append(catalog.create(new_recording("night"), "test"))
        catalog.create(new_recording(f"own {number}"), "test")
        catalog.add_group(found[-1], new_group(["X"], name="further"), "test")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({entry.uuid for entry in found}) == 1
    assert [row.event for row in catalog.audit(found[0])] == ["created", "group", "group"]
    assert len(catalog.recordings()) == 9


def test_groups_and_channels_are_given_back_as_declared(catalog: Catalog) -> None:
    channels = [
        NewChannel(
            label="Fp1",
            unit="mV",
            scaling=Scaling(0.1 + 0.2, -1e-300, 1e3, True),
            electrode_group="left",
            details={"prefilter": "HP:0.1 Hz", "signal": "0", "nul": "\0", "µ": "文"},
        ),
        NewChannel(label="x", scaling=Scaling(np.float32(0.1), np.float32(0.3), 1e6, False)),
        NewChannel(label="y", scaling=Scaling(np.float64(0.1), 0.0)),
        NewChannel.of(Channel(label="-")),
    ]
    new = NewGroup(
        name="odd",
        rate_hz=Fraction(2997, 10),
        dtype=np.dtype("int32"),
        chunk_samples=3,
        block_samples=9,
        channels=channels,
        codec="pcodec",
        declared=False,
    )
    entry = catalog.create(NewRecording(patient="p", name="n", kind="edf", groups=[new]), "test")
    (group,) = catalog.groups(entry)
    for name in ("name", "dtype", "chunk_samples", "block_samples", "codec", "declared"):
        assert getattr(group, name) == getattr(new, name)
    assert group.rate == new.rate_hz
    assert group.number == 0
    assert group.recording_id == entry.id
    assert group.bytes_per_sample == 16
    for stored, given_ in zip(group.channels, channels, strict=True):
        for field in dataclasses.fields(NewChannel):
            assert getattr(stored, field.name) == getattr(given_, field.name)
        for name in ("factor", "offset"):
            kept, was = getattr(stored.scaling, name), getattr(given_.scaling, name)
            assert type(kept) is type(was)
    assert [one.dummy for one in group.channels] == [False, False, False, True]
    assert group.keys == ("Fp1", "x", "y", "-")
    assert check_rows(catalog, entry).problems == []


def test_keys_are_unique_in_the_whole_recording(catalog: Catalog) -> None:
    entry = catalog.create(new_recording(), "test")
    group = catalog.add_group(entry, new_group(["T8-P8", "T8-P8#2", "C3"], name="b"), "test")
    assert group.number == 1
    assert group.keys == ("T8-P8#3", "T8-P8#2#2", "C3")
    assert [one.label for one in group.channels] == ["T8-P8", "T8-P8#2", "C3"]
    assert catalog.add_group(entry, new_group(["T8-P8", "T8-P8#2", "C3"], name="b"), "x") == group


@given(
    labels=st.lists(st.sampled_from(["a", "a#2", "a#3", " a", "", "-", "a#2#2"]), max_size=12),
    taken=st.sets(st.sampled_from(["a", "a#2", "-"])),
)
def test_keys_never_repeat(labels: list[str], taken: set[str]) -> None:
    keys = channel_keys(labels, taken)
    assert len(set(keys) | taken) == len(keys) + len(taken)
    assert all(
        key == (label.strip() or "-") or key.startswith((label.strip() or "-") + "#")
        for key, label in zip(keys, labels, strict=True)
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": np.dtype("int8")}, "numbers of type int8"),
        ({"dtype": np.dtype(">i2"), "channels": []}, "it has no channels"),
        ({"rate_hz": Fraction(0)}, "a rate of 0 Hz"),
        ({"chunk_samples": 0}, "a block needs to be a multiple"),
        ({"chunk_samples": 7}, "a block needs to be a multiple"),
        ({"channels": [NewChannel(label="a\0")]}, "has a NUL"),
        ({"channels": [NewChannel(label="a", scaling=Scaling(float("inf")))]}, "no finite scaling"),
    ],
)
def test_an_impossible_group_is_refused(
    catalog: Catalog, change: dict[str, Any], says: str
) -> None:
    wrong = dataclasses.replace(new_group(), **change)
    with pytest.raises(UsageError, match=says):
        catalog.create(dataclasses.replace(new_recording(), groups=[wrong]), "test")
    assert catalog.recordings() == []


def test_lists_leave_out_what_is_still_being_taken_in(catalog: Catalog) -> None:
    live = catalog.create(new_recording("b", "p1"), "test")
    batch = catalog.create(new_recording("a", "p1", kind="edf"), "test")
    other = catalog.create(new_recording("c", "p2"), "test")
    assert catalog.recordings() == [live, other]
    assert catalog.recordings("p1") == [live]
    assert catalog.recordings("p1", unfinished=True) == [batch, live]
    assert catalog.recordings("nobody") == []
    assert (live.finished, batch.finished) == (True, False)


def test_summaries_say_what_is_held(catalog: Catalog) -> None:
    entry = catalog.create(new_recording("two", groups=2), "test")
    empty = catalog.create(new_recording("empty", "p2"), "test")
    one, two = catalog.groups(entry)
    with Appender(catalog) as appender:
        chunks = [chunk(entry, one, 0), chunk(entry, one, 1024), chunk(entry, two, 0, 512)]
        appender.append(chunks).result(60)
    summary, other = catalog.summaries()
    assert summary == catalog.summary(entry)
    assert summary.duration_sec == 6.0  # 512 samples at 256/3 Hz
    assert summary.channels == ("Fp1", "T8-P8", "T8-P8#2", "C0", "C1", "C2")
    assert summary.rates_hz == (256.0, 256 / 3)
    assert summary.size_bytes == 1024 * 3 * 2
    assert (other.entry, other.duration_sec, other.size_bytes) == (empty, 0.0, 0)
    assert [one.entry for one in catalog.summaries(["p2", "p3"])] == [empty]
    assert catalog.summaries([]) == []


def test_recordings_are_found_by_their_file(catalog: Catalog) -> None:
    new = dataclasses.replace(new_recording(kind="edf"), source_sha256="ab")
    entry = catalog.create(new, "test")
    assert catalog.by_source("ab") == [entry]
    assert catalog.by_source("cd") == []


def test_events_are_logged_in_the_chain(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    event = AuditEvent(
        event="exported",
        source="me",
        group_number=0,
        start=256,
        num_samples=128,
        detail={"why": "µ", "numbers": [1, 0.1, None]},
    )
    (row,) = catalog.log(entry, [event])
    assert catalog.log(entry, []) == []
    rows = catalog.audit(entry)
    assert rows[-1] == row
    assert (row.chunk_start_sec, row.chunk_end_sec) == (1.0, 1.5)
    assert check_chain(rows) is None
    assert catalog.audit(entry, after=1, limit=1) == rows[1:2]


def test_results_are_kept_beside_what_they_were_computed_from(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    results = [
        ComputedResult(
            name=name,
            source_digest="ab",
            parameters={"band": [1.0, 4.0]},
            processing_version="1.2",
            result={"value": number},
            created_at=utc_now(),
        )
        for number, name in enumerate(("power", "rate", "power"))
    ]
    for result in results:
        catalog.add_result(entry, result)
    assert catalog.results(entry) == results
    assert catalog.results(entry, "power") == [results[0], results[2]]


def test_an_entry_is_read_anew(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    assert catalog.refresh(dataclasses.replace(entry, sealed=True)) == entry
