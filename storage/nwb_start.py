"""The start of an NWB session as exact microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.errors import CorruptRecording, UsageError
from storage.nwb_tree import NwbGroup, array_at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def session_start(root: NwbGroup, timezone: str | None, *, where: str) -> tuple[datetime, bool]:
    """Return ``timestamps_reference_time``, else ``session_start_time``.

    Parameters
    ----------
    root
        Top of the file.
    timezone
        IANA name of the zone to read a time in that carries no offset.
    where
        The file, for errors.

    Returns
    -------
    start, assumed
        The start, with its offset, and whether that offset came from ``timezone``.

    Raises
    ------
    CorruptRecording
        If the file has no start, or none that can be read.
    UsageError
        If the start has no offset and no zone was given, or there is no such zone.
    """
    for name in ("timestamps_reference_time", "session_start_time"):
        array = array_at(root, name)
        if array is not None:
            return _parse(str(array.values().reshape(-1)[0]), name, timezone, where)
    raise CorruptRecording(
        f"{where}: has no session_start_time, so its samples have no time; is it an NWB file?"
    )


def classic_session_start(
    root: NwbGroup, timezone: str | None, *, where: str
) -> tuple[datetime, bool]:
    """Return ``session_start_time``, which is all that the existing processor looks at."""
    array = array_at(root, "session_start_time")
    if array is None:
        raise CorruptRecording(f"{where}: has no session_start_time; is it an NWB file?")
    return _parse(str(array.values().reshape(-1)[0]), "session_start_time", timezone, where)


def microseconds(start: datetime) -> int:
    """Return exact microseconds since 1970-01-01 UTC."""
    return (start - EPOCH) // timedelta(microseconds=1)


def _parse(text: str, name: str, timezone: str | None, where: str) -> tuple[datetime, bool]:
    try:
        start = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise CorruptRecording(
            f"{where}: {name} is {text!r:.60}, expected a time like 2024-05-06T07:08:09+00:00"
        ) from error
    if start.tzinfo is not None:
        return start, False
    if timezone is None:
        raise UsageError(
            f"{where}: {name} {text} has no offset from UTC; say in which zone it was recorded "
            "with --timezone, for example --timezone Europe/Vienna"
        )
    try:
        return start.replace(tzinfo=ZoneInfo(timezone)), True
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"--timezone {timezone}: there is no such zone; use a name like America/New_York"
        ) from error
