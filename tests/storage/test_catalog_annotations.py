"""Annotations: every edit is a further version, and stands in the chain."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from storage.catalog import AnnotationChanged, Catalog
from storage.catalog_annotations import annotation_digest
from storage.catalog_check import check_rows
from storage.errors import AlreadyExists, NotFound, UsageError
from storage.recording import Annotation
from tests.support.catalogs import made

NOTE = Annotation(
    onset_us=-5,
    duration_us=None,
    text="Anfall µ 文",
    kind="seizure",
    source="person",
    channels=("T8-P8#2",),
)


def test_an_annotation_is_given_back(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    stored = catalog.add_annotation(entry, NOTE, "me", beyond_end=True)
    assert catalog.annotations(entry) == [stored]
    assert stored.annotation == NOTE
    assert (stored.version, stored.beyond_end, stored.voided) == (1, True, False)
    row = catalog.audit(entry)[-1]
    assert (row.event, row.source, row.checksum) == ("annotation", "me", annotation_digest(stored))
    assert row.detail["action"] == "add"


def test_annotations_come_in_the_order_of_their_onset(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    notes = [dataclasses.replace(NOTE, onset_us=onset) for onset in (7, -3, 5, 5)]
    catalog.add_annotations(entry, [(note, False) for note in notes], "me")
    assert catalog.add_annotations(entry, [], "me") == []
    assert [one.annotation.onset_us for one in catalog.annotations(entry)] == [-3, 5, 5, 7]


def test_an_edit_is_a_further_version(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    one = catalog.add_annotation(entry, NOTE, "me")
    changed = dataclasses.replace(NOTE, text="none", duration_us=10)
    two = catalog.revise_annotation(entry, one.uuid, 1, changed, "you", "looked again")
    assert catalog.annotations(entry) == [two]
    assert (two.version, two.author, two.reason) == (2, "you", "looked again")
    three = catalog.void_annotation(entry, one.uuid, 2, "me", "wrong person")
    assert catalog.annotations(entry) == []
    assert three.annotation == changed
    assert catalog.annotations(entry, history=True) == [one, two, three]
    rows = [row for row in catalog.audit(entry) if row.event == "annotation"]
    assert [row.detail["action"] for row in rows] == ["add", "revise", "void"]
    assert check_rows(catalog, entry).problems == []


def test_nobody_revises_what_they_have_not_seen(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    one = catalog.add_annotation(entry, NOTE, "me")
    catalog.revise_annotation(entry, one.uuid, 1, NOTE, "me", "why")
    for version in (1, 3):
        with pytest.raises(AnnotationChanged, match="at version 2, not at version"):
            catalog.revise_annotation(entry, one.uuid, version, NOTE, "me", "why")
    catalog.void_annotation(entry, one.uuid, 2, "me", "why")
    with pytest.raises(AnnotationChanged, match="is void"):
        catalog.revise_annotation(entry, one.uuid, 3, NOTE, "me", "why")
    assert len(catalog.annotations(entry, history=True)) == 3


def test_one_of_many_who_revise_at_once_does(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    one = catalog.add_annotation(entry, NOTE, "me")
    done: list[bool] = []
    barrier = threading.Barrier(6)

    def revise() -> None:
        barrier.wait()
        try:
            catalog.revise_annotation(entry, one.uuid, 1, NOTE, "me", "why")
        except AnnotationChanged:
            done.append(False)
        else:
            done.append(True)

    threads = [threading.Thread(target=revise) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 5 + [True]


def test_the_same_id_is_entered_once(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    number = uuid4()
    one, entered = catalog.add_annotation_once(entry, number, NOTE, "me", beyond_end=True)
    assert (one.uuid, one.version, one.beyond_end, entered) == (number, 1, True, True)
    # Whether it lies beyond the end is not what its author said.
    assert catalog.add_annotation_once(entry, number, NOTE, "me") == (one, False)
    two = catalog.revise_annotation(entry, number, 1, NOTE, "you", "looked again")
    assert catalog.add_annotation_once(entry, number, NOTE, "me") == (two, False)
    for note, author in ((dataclasses.replace(NOTE, text="other"), "me"), (NOTE, "you")):
        with pytest.raises(AlreadyExists, match="another annotation's"):
            catalog.add_annotation_once(entry, number, note, author)
    rows = [row for row in catalog.audit(entry) if row.event == "annotation"]
    assert [row.detail["action"] for row in rows] == ["add", "revise"]
    assert check_rows(catalog, entry).problems == []


def test_one_id_is_of_one_recording(catalog: Catalog) -> None:
    """Whoever sends an id at the same moment to several recordings enters it in one of them."""
    entries = [made(catalog)[0] for _ in range(4)]
    barrier = threading.Barrier(8)

    def add(place: int, number: UUID) -> str:
        barrier.wait()
        try:
            _, entered = catalog.add_annotation_once(entries[place % 4], number, NOTE, "me")
        except AlreadyExists:
            return "refused"
        return "entered" if entered else "known"

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            done = list(pool.map(add, range(8), [uuid4()] * 8))
            assert sorted(done) == ["entered", "known"] + ["refused"] * 6
    assert sum(len(catalog.annotations(entry)) for entry in entries) == 5
    for entry in entries:
        assert check_rows(catalog, entry).problems == []


def test_a_change_needs_a_reason_and_something_to_change(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    other, _ = made(catalog)
    one = catalog.add_annotation(entry, NOTE, "me")
    with pytest.raises(UsageError, match="needs a reason"):
        catalog.void_annotation(entry, one.uuid, 1, "me", " ")
    with pytest.raises(NotFound):
        catalog.void_annotation(entry, uuid4(), 1, "me", "why")
    with pytest.raises(NotFound):
        catalog.void_annotation(other, one.uuid, 1, "me", "why")
