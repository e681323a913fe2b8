"""What one of the databases cannot hold is refused in the same words by both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import tokens
from storage.catalog import Catalog, ComputedResult, NewChannel
from storage.column_types import check_int64, check_json, check_text
from storage.database import utc_now
from storage.errors import UsageError
from storage.recording import Annotation
from tests.support.catalogs import made, new_group, new_recording

HALF, NUL, HUGE = "\ud800", "a\0b", 2**63


def _create(**changes: Any) -> Callable[[Catalog], object]:
    new = dataclasses.replace(new_recording("other"), **changes)
    return lambda catalog: catalog.create(new, "test")


def _channel(**values: Any) -> Callable[[Catalog], object]:
    wrong = dataclasses.replace(NewChannel(label="x"), **values)
    return _create(groups=[dataclasses.replace(new_group(), channels=[wrong])])


def _annotate(**values: Any) -> Callable[[Catalog], object]:
    wrong = dataclasses.replace(Annotation(onset_us=0, text="x"), **values)
    return lambda catalog: catalog.add_annotation(catalog.find("night"), wrong, "me")


def _result(catalog: Catalog) -> None:
    new = ComputedResult(
        name="x",
        source_digest="x",
        parameters={"x": HALF},
        processing_version="1",
        result=1,
        created_at=utc_now(),
    )
    catalog.add_result(catalog.find("night"), new)


IMPOSSIBLE: dict[str, Callable[[Catalog], object]] = {
    "patient": _create(patient=HALF),
    "name": _create(name=HALF),
    "notes": _create(notes=[HALF]),
    "kind": _create(kind=NUL),
    "start": _create(start_us=HUGE),
    "label": _channel(label=HALF),
    "unit": _channel(unit=NUL),
    "details": _channel(details={"x": HALF}),
    "rate": _create(groups=[dataclasses.replace(new_group(), rate_hz=Fraction(HUGE))]),
    "text": _annotate(text=NUL),
    "onset": _annotate(onset_us=-HUGE - 1),
    "duration": _annotate(duration_us=HUGE),
    "channels": _annotate(channels=(HALF,)),
    "actor": lambda catalog: catalog.create(new_recording("other"), NUL),
    "find half": lambda catalog: catalog.find(HALF),
    "find nul": lambda catalog: catalog.find(NUL),
    "find patient": lambda catalog: catalog.find("night", NUL),
    "list": lambda catalog: catalog.recordings(NUL),
    "result": _result,
    "token": lambda catalog: tokens.issue(catalog, HALF, ["eeg:read"]),
    "token patients": lambda catalog: tokens.issue(catalog, "t", ["eeg:read"], [HALF]),
    "revoke": lambda catalog: tokens.revoke(catalog, NUL),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_cannot_be_held_is_refused(catalog: Catalog, what: str) -> None:
    entry, _ = made(catalog, "night")
    before = catalog.audit(entry)
    with pytest.raises(UsageError, match=r"has a NUL|half of a surrogate|is too great") as caught:
        IMPOSSIBLE[what](catalog)
    assert str(caught.value).isprintable()
    assert catalog.recordings(unfinished=True) == [entry]
    assert catalog.audit(entry) == before
    assert tokens.grants(catalog) == []


def test_a_secret_of_half_characters_is_unknown(catalog: Catalog) -> None:
    assert tokens.check(catalog, "rvt_" + HALF) is None


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_any_other_text_is_kept(text: str) -> None:
    assert check_text(text) == text
    assert check_json({text: [text, "\0"]}) == {text: [text, "\0"]}


@pytest.mark.parametrize("number", [0, -(2**63), 2**63 - 1])
def test_integers_of_64_bits_are_kept(number: int) -> None:
    assert check_int64(number) == number


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1j: 2}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="cannot be kept as JSON"):
        check_json(value)
