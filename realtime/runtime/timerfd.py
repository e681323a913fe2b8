"""A timer of the Linux kernel that an event loop can wait for as for a socket."""

from __future__ import annotations

import ctypes
import os
import time

_CREATE = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_SECOND_NS = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("due", _Timespec))


class Timerfd:
    """One timer on the clock of ``time.monotonic_ns``; readable once its time has come.

    Setting it again makes it unreadable, so that it need never be read.

    Attributes
    ----------
    number : int
        Its file descriptor, -1 when closed.

    Raises
    ------
    OSError
        If the kernel has no such timer, or the process no descriptor left.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self._settime.argtypes = (
            ctypes.c_int,
            ctypes.c_int,
            ctypes.POINTER(_Setting),
            ctypes.c_void_p,
        )
        self._setting = _Setting()
        self._place = ctypes.byref(self._setting)
        self.number = library.timerfd_create(time.CLOCK_MONOTONIC, _CREATE)
        if self.number < 0:
            raise _failed("timerfd_create")

    def set(self, due_ns: int | None) -> None:
        """Wake at that time, at once if it has passed, or not at all."""
        # Zero would switch it off.
        seconds, rest = (0, 0) if due_ns is None else divmod(max(due_ns, 1), _SECOND_NS)
        self._setting.due.seconds = seconds
        self._setting.due.nanoseconds = rest
        if self._settime(self.number, _ABSOLUTE, self._place, None) != 0:
            raise _failed("timerfd_settime")

    def close(self) -> None:
        """Give the descriptor back."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
