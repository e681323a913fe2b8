"""An application on a port of this process, in a thread, until the end of a ``with`` block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from realtime.runtime.serving import bind, server, url_of

SECONDS = 30.0


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Answer requests at the address that is yielded."""
    bound = bind("127.0.0.1", 0)
    listening = threading.Event()
    running = server(app, announce=listening.set)
    bound.listen(128)
    thread = threading.Thread(target=running.run, args=([bound],), name="app-server")
    thread.start()
    try:
        assert listening.wait(SECONDS), "the application did not start"
        yield url_of(bound)
    finally:
        running.should_exit = True
        thread.join(SECONDS)
        bound.close()
        assert not thread.is_alive()
