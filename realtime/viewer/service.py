"""The viewer as a process: port, application, and an orderly stop."""

from __future__ import annotations

import logging
from collections.abc import Callable

from realtime.runtime.serving import bind, serve
from realtime.viewer.app import create_app, in_clear
from storage.settings import ViewerSettings

log = logging.getLogger(__name__)


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
        app = create_app(settings)
        if in_clear(settings):
            log.warning(
                "tokens and recordings of people elsewhere travel unencrypted, and can be read on "
                "their way: set RANVIER_VIEWER_CERTIFICATE and RANVIER_VIEWER_PRIVATE_KEY, or let "
                "a proxy encrypt and set RANVIER_VIEWER_ORIGIN to its https:// address"
            )
        serve(
            app,
            bound,
            settings.certificate,
            settings.private_key,
            ready=announce,
        )
    finally:
        bound.close()
