"""Frames against the parser of an independent implementation."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from realtime.runtime.websocket_frames import binary_frame, text_frame

LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 200_000]


def parsed(wire: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(wire)
    reader.feed_eof()
    parser: Generator[None, None, Frame] = Frame.parse(reader.read_exact, mask=False)
    try:
        next(parser)
    except StopIteration as end:
        frame = end.value
    assert isinstance(frame, Frame)
    assert reader.buffer == b""
    return frame


@pytest.mark.parametrize("length", LENGTHS)
def test_frames(length: int) -> None:
    payload = bytes(each % 251 for each in range(length))
    frame = parsed(binary_frame(payload))
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.BINARY, payload, True)
    assert (frame.rsv1, frame.rsv2, frame.rsv3) == (False, False, False)
    text = "a" * length
    for wire in (text_frame(text), text_frame(text.encode())):
        frame = parsed(wire)
        assert (frame.opcode, frame.data) == (Opcode.TEXT, text.encode())
        assert wire == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def test_text_that_is_not_ascii() -> None:
    assert parsed(text_frame("µV, 25 °C")).data == "µV, 25 °C".encode()
