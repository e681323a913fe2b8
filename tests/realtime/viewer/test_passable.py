"""What the viewer passes on: the routes of its page, under whatever names."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.viewer.passable import passable, target_of

READ = ("annotations", "overview", "dsa", "spectrogram", "montages", "export")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/recordings"),
        ("GET", "/health"),
        ("GET", "/eeg"),
        ("GET", "/recordings/chb01_03.edf"),
        *(("GET", f"/recordings/a%20b/{route}") for route in READ),
        ("POST", "/recordings/r/annotations"),
        ("PATCH", "/recordings/r/annotations/3f2a"),
        ("DELETE", "/recordings/r/annotations/3f2a"),
        ("FOLLOW", "/recordings/r/follow"),
    ],
)
def test_what_the_page_asks_for_goes_on(method: str, path: str) -> None:
    assert passable(method, path.encode())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/ingest"),
        ("POST", "/recordings"),
        ("POST", "/recordings/r/seal"),
        ("POST", "/recordings/r/chunks"),
        ("GET", "/recordings/r/audit"),
        ("GET", "/recordings/r/verify"),
        ("GET", "/recordings/"),
        ("GET", "/recordings/r/"),
        ("GET", "/recordings/r/annotations/"),
        ("GET", "/recordings/r/export/x"),
        ("GET", "/recordings//export"),
        ("GET", "//recordings"),
        ("HEAD", "/recordings"),
        ("PUT", "/recordings/r/annotations"),
        ("DELETE", "/recordings/r/annotations"),
        ("GET", "/recordings/r/follow"),
        ("FOLLOW", "/recordings/r"),
        # To the service, each of these is another route.
        ("GET", "/recordings/r%2Faudit"),
        ("GET", "/recordings/r%2faudit"),
        ("GET", "/recordings/r%5Caudit"),
        ("GET", "/recordings/.."),
        ("GET", "/recordings/%2e%2E/export"),
        ("GET", "/recordings/%2e"),
        ("DELETE", "/recordings/r/annotations/a%2Fb"),
        ("GET", "/recordings\n"),
    ],
)
def test_nothing_else_does(method: str, path: str) -> None:
    assert not passable(method, path.encode())


@given(
    st.text(min_size=1).filter(lambda name: name not in {".", ".."} and not set("/\\") & set(name))
)
def test_a_recording_of_any_name_can_be_read(name: str) -> None:
    try:
        encoded = quote(name, safe="").encode()
    except UnicodeEncodeError:
        return  # half of a pair, which no address can hold
    assert passable("GET", b"/recordings/" + encoded)


def test_the_target_is_what_was_asked_byte_for_byte() -> None:
    raw = b"/api/recordings/a%2520b%C3%A4%3F"
    assert target_of(raw, b"derive=C3-A1%2BA2&x=%20") == (
        b"/recordings/a%2520b%C3%A4%3F",
        b"/recordings/a%2520b%C3%A4%3F?derive=C3-A1%2BA2&x=%20",
    )
    assert target_of(b"/api/eeg?a=1", b"a=1") == (b"/eeg", b"/eeg?a=1")
    assert target_of(b"/api/eeg", b"") == (b"/eeg", b"/eeg")
