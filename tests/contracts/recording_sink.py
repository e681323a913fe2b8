"""What every sink of recordings promises."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.errors import AlreadyExists
from storage.protocols import RecordingSink
from storage.spans import Span
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

GROUPS = (
    SyntheticGroup(n_samples=300_000, n_channels=2, rate_hz=2000.0, gaps_us={70_000: 5_000_000}),
    SyntheticGroup(n_samples=5000, n_channels=3, rate_hz=250.0, dtype="float32"),
    SyntheticGroup(n_samples=1, n_channels=1, rate_hz=1.0, dtype="uint8"),
    SyntheticGroup(
        n_samples=4000,
        n_channels=1,
        rate_hz=30_000.0,
        dtype="int64",
        gaps_us=dict.fromkeys(range(100, 4000, 100), 1000),
    ),
)


class SourceBroke(Exception):
    """What a failing source raises."""


def breaking_at(read: int) -> SyntheticRecording:
    """Return a recording whose reads fail from one on."""
    reads = itertools.count()

    def break_down(group: int, span: Span) -> None:
        if next(reads) >= read:
            raise SourceBroke

    return SyntheticRecording(*GROUPS, before_read=break_down)


class RecordingSinkTests:
    """Inherited by the test class of each sink, which says how to open one and what it holds."""

    def sink(self, place: str) -> RecordingSink:
        """Open a sink that refuses what rests there already."""
        raise NotImplementedError

    def looks_whole(self, place: str) -> bool:
        """Whether somebody who looks there finds a recording."""
        raise NotImplementedError

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        """Return the physical values of each rate group, shape ``(n_samples, n_channels)``."""
        raise NotImplementedError

    @pytest.fixture
    def where(self, tmp_path: Path) -> str:
        """Where to write to; nothing is there yet."""
        return str(tmp_path / "written")

    def test_every_sample_arrives_exactly(self, where: str) -> None:
        assert self.sink(where).write(SyntheticRecording(*GROUPS)) == where
        assert self.looks_whole(where)
        written = self.read_back(where)
        assert len(written) == len(GROUPS)
        for group, values in zip(GROUPS, written, strict=True):
            stored = group.numbers(Span(0, group.n_samples))
            np.testing.assert_array_equal(values, stored.astype(np.float64))

    def test_it_is_there_whole_or_not_at_all(self, where: str) -> None:
        counting = SyntheticRecording(*GROUPS)
        self.sink(f"{where}-counted").write(counting)
        n_reads = len(counting.reads)
        assert n_reads > 3
        for failing in range(n_reads):
            place = f"{where}-{failing}"
            with pytest.raises(SourceBroke):
                self.sink(place).write(breaking_at(failing))
            assert not self.looks_whole(place)
            self.sink(place).write(SyntheticRecording(*GROUPS))
            assert self.looks_whole(place)
            for group, values in zip(GROUPS, self.read_back(place), strict=True):
                stored = group.numbers(Span(0, group.n_samples))
                np.testing.assert_array_equal(values, stored.astype(np.float64))

    def test_the_same_again_changes_nothing(self, where: str) -> None:
        self.sink(where).write(SyntheticRecording(*GROUPS))
        again = SyntheticRecording(*GROUPS)
        assert self.sink(where).write(again) == where
        assert self.looks_whole(where)
        assert not again.reads

    def test_another_recording_is_not_overwritten(self, where: str) -> None:
        self.sink(where).write(SyntheticRecording(*GROUPS))
        other = SyntheticRecording(GROUPS[1], name="other")
        with pytest.raises(AlreadyExists):
            self.sink(where).write(other)
        assert self.looks_whole(where)
        assert len(self.read_back(where)) == len(GROUPS)
