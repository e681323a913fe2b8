"""A stretch of a recording keeps the promises of a source, and every sample its time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UsageError
from storage.excerpt import Excerpt
from storage.protocols import RecordingSource
from storage.recording import Annotation
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests
from tests.support.synthetic_recording import START_US, SyntheticGroup, SyntheticRecording

GROUPS = (
    SyntheticGroup(n_samples=5000, rate_hz=256.0, gaps_us={1000: 3_000_000, 1001: 500_000}),
    SyntheticGroup(n_samples=40, n_channels=2, rate_hz=2.0),
    SyntheticGroup(n_samples=900, n_channels=1, rate_hz=299.7),
)


class TestExcerpt(RecordingSourceTests):
    """The middle of a recording with gaps, one of them at its border."""

    numbered = False
    changes = False

    def make(self, folder: Path) -> Path:
        return folder

    def open(self, path: Path) -> RecordingSource:
        return Excerpt(SyntheticRecording(*GROUPS), 1_500_000, 12_345_678)


def whole_and_excerpt(start_us: int, end_us: int) -> tuple[SyntheticRecording, Excerpt]:
    whole = SyntheticRecording(*GROUPS)
    return whole, Excerpt(SyntheticRecording(*GROUPS), start_us, end_us)


@given(st.integers(0, 19_000_000), st.integers(1_000_000, 20_000_000))
def test_it_holds_exactly_the_samples_of_its_time(start_us: int, length_us: int) -> None:
    end_us = start_us + length_us
    whole, excerpt = whole_and_excerpt(start_us, end_us)
    at = 0
    for number, group in enumerate(whole.recording.groups):
        times = np.array([whole.time_us(number, index) for index in range(group.n_samples)])
        inside = (times >= START_US + start_us) & (times < START_US + end_us)
        if not inside.any():
            continue
        held = excerpt.recording.groups[at]
        assert held.name == group.name
        assert held.n_samples == inside.sum()
        assert [excerpt.time_us(at, index) for index in range(held.n_samples)] == list(
            times[inside]
        )
        np.testing.assert_array_equal(
            excerpt.read(at, Span(0, held.n_samples)),
            whole.read(number, Span(0, group.n_samples))[inside],
        )
        at += 1
    assert at == len(excerpt.recording.groups)
    assert excerpt.recording.start_us == START_US + start_us


def test_annotations_that_overlap_come_along_and_count_from_its_start() -> None:
    whole = SyntheticRecording(*GROUPS)
    notes = [
        Annotation(onset_us=0, duration_us=2_000_000, text="ends at the start"),
        Annotation(onset_us=1_000_000, duration_us=2_000_000, text="reaches in"),
        Annotation(onset_us=2_000_000, text="at the start"),
        Annotation(onset_us=3_999_999, duration_us=9_000_000, text="reaches out"),
        Annotation(onset_us=4_000_000, text="at the end"),
    ]
    whole.recording = replace(whole.recording, annotations=tuple(notes))
    held = Excerpt(whole, 2_000_000, 4_000_000).recording.annotations
    assert [(one.onset_us, one.text) for one in held] == [
        (-1_000_000, "reaches in"),
        (0, "at the start"),
        (1_999_999, "reaches out"),
    ]


def test_a_stretch_without_samples_is_wrong_usage() -> None:
    whole = SyntheticRecording(SyntheticGroup(n_samples=256, rate_hz=256.0))
    with pytest.raises(UsageError, match="no sample from 7 s up to 9 s"):
        Excerpt(whole, 7_000_000, 9_000_000)
