"""Inflating zlib streams and gzip members with ISA-L."""

from __future__ import annotations

from isal import isal_zlib

_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls it a value


def inflate(packed: bytes, *, gzip: bool, expected_bytes: int = 16_384) -> bytes:
    """Return the content of a zlib stream, or of one gzip member.

    Parameters
    ----------
    packed
        The whole stream.
    gzip
        Whether it is a gzip member.
    expected_bytes
        Length of the content, if known; saves copying.

    Raises
    ------
    ValueError
        If it is damaged, cut short, or a gzip member with something after it.
    """
    try:
        if not gzip:
            return isal_zlib.decompress(packed, bufsize=expected_bytes)
        member = isal_zlib.decompressobj(wbits=31)
        content = member.decompress(packed)
    except _ERROR as error:
        raise ValueError(str(error)) from error
    if not member.eof or member.unused_data:
        raise ValueError("cut short" if not member.eof else "followed by other bytes")
    return content
