"""The one tree of errors.

::

    RanvierError
    ├── RecordingError          what a person gave us to read
    │   ├── UnsupportedRecording    a valid file that holds nothing we can use
    │   ├── CorruptRecording        a file that contradicts itself or cannot be read
    │   ├── ChannelMismatch         channels that do not fit the data or the request
    │   └── TimestampGap            time stamps that step back, repeat or are missing
    ├── StorageError            where data rests
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── ChunkConflict           other samples than those stored for a span
    │   ├── RecordingSealed         closed for good
    │   ├── Busy                    somebody else works on it; worth another try
    │   └── DigestMismatch
    ├── RemoteError             a service on a network
    │   ├── NotAuthorized
    │   ├── Rejected
    │   └── Unreachable             worth another try
    ├── StreamError             live data
    │   ├── StreamNotFound
    │   ├── StreamLost
    │   ├── StreamOverrun
    │   ├── ClientTooSlow
    │   └── ProtocolViolation
    ├── DecoderError            models
    │   ├── NotFitted
    │   └── FitFailed
    └── UsageError              a request that contradicts itself

A message is one line. It names the thing, the value found, the value expected, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class RanvierError(Exception):
    """Root of every error that a person is meant to read.

    Attributes
    ----------
    retryable : bool
        Whether the same call may succeed when it is simply made again.
    """

    retryable: ClassVar[bool] = False


class RecordingError(RanvierError):
    """A recording cannot be used as it is."""


class UnsupportedRecording(RecordingError):
    """The file is valid, and holds nothing that the request can use."""


class CorruptRecording(RecordingError):
    """The file contradicts itself, is cut short, or is not of its format."""


class ChannelMismatch(RecordingError):
    """Channels do not fit the data or the request."""


class TimestampGap(RecordingError):
    """Time stamps step back, repeat or are missing."""


class StorageError(RanvierError):
    """Something about data at rest."""


class NotFound(StorageError):
    """No such file, folder, object or entry."""


class AlreadyExists(StorageError):
    """Something else rests there already, and it was not to be overwritten."""


class ChunkConflict(StorageError):
    """Other samples are stored for that span, or for a part of it.

    Parameters
    ----------
    message
        One line.
    stored, offered
        SHA-256 of the chunk that is there (None where only parts overlap), and of the other.
    """

    def __init__(self, message: str, stored: str | None = None, offered: str | None = None) -> None:
        super().__init__(message)
        self.stored = stored
        self.offered = offered


class RecordingSealed(StorageError):
    """The recording is closed for good and takes nothing more."""


class Busy(StorageError):
    """Somebody else works on it just now."""

    retryable: ClassVar[bool] = True


class DigestMismatch(StorageError):
    """What rests there is not what was written."""


class RemoteError(RanvierError):
    """A service on a network did not do what was asked."""


class NotAuthorized(RemoteError):
    """The service does not accept who we are, or what we may do."""


class Rejected(RemoteError):
    """The service understood and refused: asking again changes nothing."""


class Unreachable(RemoteError):
    """The service did not answer, or said that it cannot just now."""

    retryable: ClassVar[bool] = True


class StreamError(RanvierError):
    """A live stream did not hold what it promised."""


class StreamNotFound(StreamError):
    """No stream, or more than one, fits the request."""


class StreamLost(StreamError):
    """A stream went silent."""

    retryable: ClassVar[bool] = True


class StreamOverrun(StreamError):
    """A reader was overtaken by the writer."""


class ClientTooSlow(StreamError):
    """A client did not take its packets in time."""


class ProtocolViolation(StreamError):
    """A peer sent what the protocol does not allow."""


class DecoderError(RanvierError):
    """A decoder cannot be used."""


class NotFitted(DecoderError):
    """A decoder was used before it was fitted."""


class FitFailed(DecoderError):
    """A decoder cannot be fitted to these data."""


class UsageError(RanvierError):
    """A request contradicts itself or names something that does not exist."""
