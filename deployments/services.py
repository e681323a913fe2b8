"""Settings to services: what each live service is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.settings import RecordsSettings, ViewerSettings


def serve_records(settings: RecordsSettings, announce: Callable[[str], None]) -> None:
    """Run the records service until this process is told to stop.

    Parameters
    ----------
    settings
        Where recordings rest, and where to listen.
    announce
        Told the service's address once it answers.

    Raises
    ------
    RanvierError
        If it cannot be started; for example where the port is in use.
    """
    from realtime.records.service import run

    run(settings, announce=announce)


def serve_viewer(settings: ViewerSettings, announce: Callable[[str], None]) -> None:
    """Run the viewer until this process is told to stop.

    Parameters
    ----------
    settings
        Where to listen, and where the records service is.
    announce
        Told the viewer's address once it answers.

    Raises
    ------
    RanvierError
        If it cannot be started; for example where the port is in use.
    """
    from realtime.viewer.service import run

    run(settings, announce=announce)
