"""Other web pages, and other names of this machine, get nothing."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from realtime.viewer.app import create_app
from tests.realtime.viewer.conftest import FakeRecords, settings
from tests.support.app_server import serving

WRITE = "/api/recordings/r/annotations"


def own(viewer: httpx.Client) -> str:
    return str(viewer.base_url).rstrip("/")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", ""]
)
def test_only_names_of_this_machine_are_taken(
    viewer: httpx.Client, records: FakeRecords, host: str
) -> None:
    for path in ("/", "/api/recordings", "/page/main.js", "/_dash-layout", "/montages"):
        assert viewer.get(path, headers={"Host": host}).status_code == 403
    assert not records.asked


@pytest.mark.parametrize("host", ["localhost", "localhost:8050", "127.0.0.1:1", "[::1]:8050"])
def test_all_names_of_this_machine_are(viewer: httpx.Client, host: str) -> None:
    assert viewer.get("/api/recordings", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", ""])
def test_only_the_own_page_writes(
    viewer: httpx.Client, records: FakeRecords, method: str, origin: str | None
) -> None:
    path = WRITE if method == "POST" else f"{WRITE}/1"
    headers = {} if origin is None else {"Origin": origin}
    assert viewer.request(method, path, json={}, headers=headers).status_code == 403
    assert viewer.post("/sign-out", headers=headers).status_code == 403
    assert not records.asked
    assert viewer.request(method, path, json={}, headers={"Origin": own(viewer)}).is_success


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)],
)
def test_a_page_of_elsewhere_cannot_make_a_browser_export(
    viewer: httpx.Client, site: str, status: int
) -> None:
    answer = viewer.get("/api/recordings/r/export", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == status


def test_a_link_from_elsewhere_opens_the_page(viewer: httpx.Client) -> None:
    assert viewer.get("/?recording=r", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "header", ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host"]
)
def test_rights_are_not_lent_to_whoever_comes_through_a_proxy(
    viewer: httpx.Client, guarded: httpx.Client, records: FakeRecords, header: str
) -> None:
    answer = viewer.get("/api/recordings", headers={header: "x"})
    assert answer.status_code == 403
    assert "RANVIER_VIEWER_SIGN_IN=true" in answer.json()["detail"]
    assert not records.asked
    assert guarded.get("/sign-in", headers={header: "x"}).status_code == 200


def test_behind_a_proxy_the_address_that_people_open_writes(
    tmp_path: Path, records: FakeRecords
) -> None:
    ours = "https://eeg.example.org"
    app = create_app(settings(tmp_path, records.url, origin=ours))
    fields = {"token": "rvt_x"}
    with serving(app) as url, httpx.Client(base_url=url) as through:
        refused = through.post("/sign-in", data=fields, headers={"Origin": f"{ours}.evil"})
        assert refused.status_code == 403
        assert "RANVIER_VIEWER_ORIGIN" in refused.json()["detail"]
        answer = through.post("/sign-in", data=fields, headers={"Origin": ours})
        assert answer.status_code == 303
        assert answer.headers["set-cookie"].startswith("__Host-ranvier-session-")
        cookie = answer.headers["set-cookie"].partition(";")[0]
        seen = through.get("/api/recordings", headers={"Cookie": cookie})
        assert seen.status_code == 200
        assert seen.headers["cache-control"] == "private, no-cache"
        out = through.post("/sign-out", headers={"Origin": ours, "Cookie": cookie})
        assert "__Host-ranvier-session-" in out.headers["set-cookie"]
        assert "Secure" in out.headers["set-cookie"]
        assert through.get("/api/recordings", headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize("origin", [None, "http://evil.example"])
def test_sockets_are_for_the_own_page(viewer: httpx.Client, origin: str | None) -> None:
    url = f"ws{own(viewer).removeprefix('http')}/api/recordings/r/follow"
    with pytest.raises(InvalidStatus, match="403"), connect(url, origin=origin):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("path", ["/", "/api/recordings", "/api/nothing", "/page/main.js", "/x"])
def test_every_answer_carries_the_rules(viewer: httpx.Client, path: str) -> None:
    headers = viewer.get(path).headers
    policy = headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert re.fullmatch(r"'self'( 'sha256-[A-Za-z0-9+/=]+')+", rules["script-src"])
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers
