"""Messages of a WebSocket's server as bytes for the wire, made once for any number of clients."""

from __future__ import annotations

_FINAL = 0x80
_TEXT = _FINAL | 0x1
_BINARY = _FINAL | 0x2
_LONGEST_SHORT = 125
_LONGEST_MEDIUM = 0xFFFF


def text_frame(payload: bytes | str) -> bytes:
    """Return a text message, whole in one frame; bytes must be UTF-8."""
    return _frame(_TEXT, payload.encode() if isinstance(payload, str) else payload)


def binary_frame(payload: bytes) -> bytes:
    """Return a binary message, whole in one frame."""
    return _frame(_BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    # Section 5.2 of RFC 6455; a server's frames are not masked.
    length = len(payload)
    if length <= _LONGEST_SHORT:
        return bytes((first, length)) + payload
    if length <= _LONGEST_MEDIUM:
        return bytes((first, 126)) + length.to_bytes(2) + payload
    return bytes((first, 127)) + length.to_bytes(8) + payload
