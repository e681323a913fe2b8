"""What a wearable sends: every sample once, second by second, at its place on the grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import orjson
import pytest

from realtime.simulator.chunks import chunks_of
from realtime.simulator.messages import binary_chunk, declaration, has_one_unit, json_chunk
from realtime.wire.chunk_json import parse_chunk
from realtime.wire.fields import grid_index, rate_of
from realtime.wire.records import DeclareRecording
from storage.errors import UnsupportedRecording
from storage.scaling import Scaling
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

SCALING = Scaling(800 / 2047.5, 0.19536019536019536)


def recording(*groups: SyntheticGroup) -> SyntheticRecording:
    return SyntheticRecording(*groups)


GROUPS = (
    SyntheticGroup(n_samples=2500, rate_hz=256.0, scaling=SCALING),
    SyntheticGroup(n_samples=9, n_channels=1, rate_hz=1.0),
    SyntheticGroup(n_samples=3, n_channels=2, rate_hz=0.25),
    SyntheticGroup(n_samples=3001, n_channels=1, rate_hz=299.7, gaps_us={1000: 7_654_321}),
)


def test_every_sample_is_sent_once_and_in_the_order_of_time() -> None:
    source = recording(*GROUPS)
    at = [0] * len(GROUPS)
    seconds = []
    for chunk in chunks_of(source):
        rate_hz = source.recording.groups[chunk.group].exact_rate_hz
        assert chunk.span.start == at[chunk.group]
        at[chunk.group] = chunk.span.stop
        assert 0 < len(chunk.span) <= rate_hz + 1
        begins_s = Fraction(chunk.start) / rate_hz
        assert 0 <= begins_s - chunk.second < 1
        assert (chunk.stop - 1) / rate_hz < chunk.second + 1
        seconds.append(chunk.second)
    assert at == [group.n_samples for group in GROUPS]
    assert seconds == sorted(seconds)


def test_a_gap_leaves_places_of_the_grid_empty() -> None:
    source = recording(SyntheticGroup(n_samples=1000, rate_hz=100.0, gaps_us={250: 10_003_000}))
    chunks = list(chunks_of(source))
    before = [chunk for chunk in chunks if chunk.span.stop <= 250]
    after = chunks[len(before)]
    assert before[-1].stop == 250
    assert (after.span.start, after.start, after.shift_us) == (250, 1250, 3000)
    assert sum(len(chunk.span) for chunk in chunks) == 1000


def test_a_chunk_as_json_says_what_the_file_says() -> None:
    source = recording(*GROUPS)
    for chunk in chunks_of(source):
        group = source.recording.groups[chunk.group]
        rate_hz = group.exact_rate_hz
        posted = parse_chunk(json_chunk(source, chunk, "p", "r"))
        assert grid_index(posted.start_s, rate_hz) == chunk.start
        near = rate_of(posted.n_samples, posted.header.start, posted.header.end)
        assert abs(near / rate_hz - 1) < Fraction(1, 10**6)
        stored = source.read(chunk.group, chunk.span)
        for column, channel in enumerate(group.channels):
            np.testing.assert_array_equal(
                posted.samples[:, column], channel.scaling.apply(stored[:, column])
            )


def test_a_chunk_as_raw_numbers_is_channel_after_channel() -> None:
    source = recording(GROUPS[0])
    chunk = next(chunks_of(source))
    numbers = np.frombuffer(binary_chunk(source, chunk), "<i2").reshape(3, 256)
    np.testing.assert_array_equal(numbers.T, source.read(0, chunk.span))


def test_the_declaration_is_one_that_the_service_takes() -> None:
    body = declaration(recording(*GROUPS).recording, "p", "r")
    declared = DeclareRecording.model_validate(orjson.loads(body))
    assert [group.rate_hz for group in declared.groups][:2] == ["256/1", "1/1"]
    assert declared.groups[0].channels[0].factor == SCALING.factor
    assert declared.start_time is not None
    assert declared.start_time.endswith("+00:00")


def test_numbers_of_another_type_are_refused_before_anything_is_sent() -> None:
    source = recording(SyntheticGroup(dtype="int64"))
    with pytest.raises(UnsupportedRecording, match="type int64"):
        declaration(source.recording, "p", "r")


def test_one_unit_is_that_of_all_channels() -> None:
    assert has_one_unit(recording(GROUPS[0]).recording.groups[0])
