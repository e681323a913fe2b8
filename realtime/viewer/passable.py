"""Which requests the viewer passes on to the records API: what its page asks for, nothing else."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

NAME = rb"([^/?#]+)"
PASSABLE = (
    ("GET", rb"/health|/recordings|/eeg"),
    ("GET", rb"/recordings/" + NAME),
    (
        "GET",
        rb"/recordings/" + NAME + rb"/(?:annotations|overview|dsa|spectrogram|montages|export)",
    ),
    ("POST", rb"/recordings/" + NAME + rb"/annotations"),
    ("PATCH", rb"/recordings/" + NAME + rb"/annotations/" + NAME),
    ("DELETE", rb"/recordings/" + NAME + rb"/annotations/" + NAME),
    ("FOLLOW", rb"/recordings/" + NAME + rb"/follow"),
)
FORMS = tuple((method, re.compile(form)) for method, form in PASSABLE)


def passable(method: str, path: bytes) -> bool:
    """Return whether a request may go on.

    Parameters
    ----------
    method
        Of HTTP, or ``FOLLOW`` for the WebSocket.
    path
        Still encoded.
    """
    for known, form in FORMS:
        found = form.fullmatch(path) if known == method else None
        if found is not None:
            # An encoded slash would be one to the service, and so name another route.
            return not any(_is_path(name) for name in found.groups())
    return False


def _is_path(name: bytes) -> bool:
    meant = unquote_to_bytes(name)
    return meant in {b".", b".."} or b"/" in meant or b"\\" in meant


def target_of(raw_path: bytes, query: bytes, prefix: bytes = b"/api") -> tuple[bytes, bytes]:
    """Return path, and path with query, as the records API is asked for them."""
    path = raw_path.partition(b"?")[0].removeprefix(prefix)
    return path, path + (b"?" + query if query else b"")
