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
        If it is damaged or cut short.
    """
    try:
        return isal_zlib.decompress(packed, wbits=31 if gzip else 15, bufsize=expected_bytes)
    except _ERROR as error:
        raise ValueError(str(error)) from error
