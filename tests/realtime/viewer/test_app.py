"""What is set has to fit together before anything is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime.viewer.app import create_app, in_clear
from storage.errors import UsageError
from tests.realtime.viewer.conftest import settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0", "sign_in": False}, "other machines can reach it"),
        ({"host": "ward-7", "sign_in": False}, "other machines can reach it"),
        ({"origin": "https://ward", "sign_in": False}, "a proxy lets others in"),
        ({"certificate": Path("c.pem")}, "TLS needs both"),
        ({"private_key": Path("k.pem")}, "TLS needs both"),
        ({"certificate": Path("c.pem"), "private_key": Path("k.pem")}, "c.pem: there is no such"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create_app(settings(tmp_path, "http://127.0.0.1:1", **given))


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", "::1", "::"])
def test_every_place_to_listen_is_taken(tmp_path: Path, host: str) -> None:
    assert callable(create_app(settings(tmp_path, "http://127.0.0.1:1", host=host)))


@pytest.mark.parametrize(
    ("given", "clear"),
    [
        ({"host": "127.0.0.1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "certificate": Path("c"), "private_key": Path("k")}, False),
        ({"host": "0.0.0.0", "origin": "https://ward"}, False),
        ({"host": "0.0.0.0", "origin": "http://ward"}, True),
    ],
)
def test_what_travels_unencrypted_is_known(
    tmp_path: Path, given: dict[str, Any], clear: bool
) -> None:
    assert in_clear(settings(tmp_path, "http://127.0.0.1:1", **given)) is clear
