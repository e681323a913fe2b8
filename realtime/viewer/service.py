"""The viewer as a process: port, application, and an orderly stop."""

from __future__ import annotations

from collections.abc import Callable

from realtime.runtime.serving import bind, serve
from realtime.viewer.app import create_app
from storage.settings import ViewerSettings


def run(settings: ViewerSettings, *, announce: Callable[[str], None]) -> None:
    """Serve the viewer until the process is told to stop.

    Parameters
    ----------
    settings
        Where to listen, and where the records service is.
    announce
        Called with the address once the port listens.

    Raises
    ------
    UsageError
        If the port is taken, or what is set does not fit together.
    """
    bound = bind(settings.host, settings.port)
    try:
        serve(
            create_app(settings),
            bound,
            settings.certificate,
            settings.private_key,
            ready=announce,
        )
    finally:
        bound.close()
