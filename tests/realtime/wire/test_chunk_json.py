"""The JSON chunk: what is taken, and which field is named when it is not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import orjson
import pytest

from realtime.wire.chunk_json import parse_chunk
from realtime.wire.fields import BadField
from realtime.wire.records import CHUNK_EXAMPLE

REMOVED = object()


def changed(**fields: Any) -> bytes:
    message = copy.deepcopy(CHUNK_EXAMPLE) | fields
    return orjson.dumps({name: value for name, value in message.items() if value is not REMOVED})


def test_samples_become_an_array() -> None:
    posted = parse_chunk(changed())
    assert posted.samples.shape == (4, 2)
    np.testing.assert_array_equal(posted.samples.T, CHUNK_EXAMPLE["samples"])
    assert posted.duration_s * 256 == 4


def test_doubles_keep_every_bit() -> None:
    values = np.random.default_rng(1).normal(size=(2, 4)) * 10.0 ** np.arange(-3, 5).reshape(2, 4)
    posted = parse_chunk(changed(samples=values.tolist()))
    assert posted.samples.T.tobytes() == values.tobytes()


def test_integers_are_numbers() -> None:
    assert parse_chunk(changed(samples=[[1, 2, 3, 4], [0, 1, 0, 1]])).samples.dtype == np.float64
    assert parse_chunk(changed(samples=[[1, 2.5, 3, 4], [2**60, 1, 0, 1]])).samples[1, 0] == 2.5


def test_a_label_may_be_true() -> None:
    # The word is searched for in the body; in a label it means nothing.
    assert parse_chunk(changed(channels=["true", "false"])).header.channels == ["true", "false"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"patient_id": REMOVED}, "patient_id"),
        ({"recording_id": 5}, "recording_id"),
        ({"recording_id": "../etc"}, "recording_id"),
        ({"recording_id": ""}, "recording_id"),
        ({"channels": []}, "channels"),
        ({"channels": "FP1-F7"}, "channels"),
        ({"channels": ["A", 3]}, "channels[1]"),
        ({"start": "0"}, "start"),
        ({"start": -1}, "start"),
        ({"start": True}, "start"),
        ({"end": 2996.0}, "end"),
        ({"end": None}, "end"),
        ({"units": "mV"}, "units"),
        ({"samples": REMOVED}, "samples"),
        ({"samples": []}, "samples"),
        ({"samples": {}}, "samples"),
        ({"samples": [[], []]}, "samples[0]"),
        ({"samples": [[1, 2, 3, 4], [1, 2, 3]]}, "samples[1]"),
        ({"samples": [[1, 2, 3, 4], 7]}, "samples[1]"),
        ({"samples": [[1, 2, 3, 4]]}, "samples"),
        ({"samples": [[1, 2, 3, 4]] * 3}, "samples"),
        ({"samples": [[1, 2, 3, 4], [1, "2", 3, 4]]}, "samples[1][1]"),
        ({"samples": [["1", "2", "3", "4"]] * 2}, "samples[0][0]"),
        ({"samples": [[1, 2, 3, 4], [1, None, 3, 4]]}, "samples[1][1]"),
        ({"samples": [[1, 2, 3, 4], [1, 2, 3, True]]}, "samples[1][3]"),
        ({"samples": [[True] * 4, [False] * 4]}, "samples[0][0]"),
        ({"samples": [[1, 2, 3, 4], [1, [2], 3, 4]]}, "samples[1][1]"),
        ({"samples": [[[1], [2], [3], [4]]] * 2}, "samples[0][0]"),
    ],
)
def test_the_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        parse_chunk(changed(**fields))
    assert caught.value.errors[0][0] == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        changed().replace(b"-12.5", b"NaN"),
        changed().replace(b"-12.5", b"1e400"),
        changed().replace(b"-12.5", b"Infinity"),
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
def test_no_json_object(body: bytes) -> None:
    with pytest.raises(BadField, match=r"^body: "):
        parse_chunk(body)
