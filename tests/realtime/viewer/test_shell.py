"""The document: complete, of this origin alone, and without what nobody uses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket

import httpx
import pytest

from realtime.viewer.shell import PAGE

IDS = (
    *("start", "picker", "review", "title", "toolbar", "traces", "reading", "notice"),
    *("layer-under", "layer-traces", "layer-over", "side", "marks", "seizures", "channels"),
    *("position", "strip", "overview-box", "density-box", "window-marker"),
    *("spectrum", "spectrum-controls", "spectrum-body", "help", "mark-form", "calibrate-form"),
    *("window-choice", "montage", "hp", "lp", "notch", "scale", "sensitivity", "colours"),
    *("clock", "polarity", "theme", "first", "back", "play", "next", "last", "follow", "speed"),
    *("export", "export-png", "export-svg", "export-figure", "export-csv", "export-edf"),
    *("link", "calibrate", "help-button", "home"),
)


def ids(component: object) -> list[str]:
    if isinstance(component, list):
        return [found for each in component for found in ids(each)]
    if not isinstance(component, dict):
        return []
    props = component["props"]
    own = [props["id"]] if "id" in props else []
    return own + ids(props.get("children"))


def test_the_document_loads_nothing_from_elsewhere(viewer: httpx.Client) -> None:
    text = viewer.get("/").text
    places = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert places
    for place in places:
        assert place.startswith("/")
        assert not place.startswith("//")
        assert viewer.get(place).status_code == 200, place
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "dash_table" not in "".join(places)


def test_what_stands_in_it_is_named_by_the_policy(viewer: httpx.Client) -> None:
    answer = viewer.get("/")
    scripts = re.findall(r"<script(?![^>]* src=)([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
    run = [text for attributes, text in scripts if "application/json" not in attributes]
    assert run
    for text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_the_layout_has_every_region_once(viewer: httpx.Client) -> None:
    found = ids(viewer.get("/_dash-layout").json())
    assert set(IDS) <= set(found)
    assert len(found) == len(set(found))


def test_no_callback_can_be_called(viewer: httpx.Client) -> None:
    assert viewer.get("/_dash-dependencies").json() == []
    origin = {"Origin": str(viewer.base_url).rstrip("/")}
    answer = viewer.post("/_dash-update-component", json={}, headers=origin)
    assert answer.status_code in {404, 405}
    for path in ("/docs", "/openapi.json", "/redoc", "/_reload-hash", "/_mcp", "/any/thing"):
        assert viewer.get(path).status_code == 404


def test_every_module_is_asked_for_again_and_sent_once(viewer: httpx.Client) -> None:
    text = viewer.get("/").text
    for path in PAGE.glob("*.js"):
        assert (f"/page/{path.name}" in text) is (path.name != "signed_in.js")
        answer = viewer.get(f"/page/{path.name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "no-cache"
        known = {"If-None-Match": answer.headers["etag"]}
        assert viewer.get(f"/page/{path.name}", headers=known).status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/",
        "/assets/",
        "/_dash-component-suites/dash/../dash/dash.py",
    ],
)
def test_no_other_file_is_sent(viewer: httpx.Client, path: str) -> None:
    # By hand, since a client takes the dots away.
    url = viewer.base_url
    with socket.create_connection((url.host, url.port or 80)) as plain:
        host = url.netloc.decode()
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        plain.sendall(head.encode())
        assert plain.recv(100).startswith(b"HTTP/1.1 404")


def test_whoever_watches_over_it_gets_an_answer(
    viewer: httpx.Client, guarded: httpx.Client
) -> None:
    for client in (viewer, guarded):
        assert client.get("/health").json() == {"status": "ok"}
        assert client.head("/health").status_code == 200
    assert viewer.head("/").status_code == 200
    origin = {"Origin": str(viewer.base_url).rstrip("/")}
    assert viewer.post("/", headers=origin).status_code == 405


def test_only_the_bundles_of_the_page_are_sent(viewer: httpx.Client) -> None:
    suites = "/_dash-component-suites"
    bundles = re.findall(rf'"({suites}/[^"]*)"', viewer.get("/").text)
    assert len(bundles) >= 5
    for path in bundles:
        kept = viewer.get(path).headers["cache-control"]
        assert "max-age=31536000" in kept
    # Loaded by the graphs, when there are some.
    assert viewer.get(f"{suites}/plotly/package_data/plotly.min.js").status_code == 200
    for path in ("dash/dash.py", "os/path.py", "realtime.viewer/app.py"):
        assert viewer.get(f"{suites}/{path}").status_code == 404, path


def test_nothing_of_the_machine_is_told(viewer: httpx.Client) -> None:
    (config,) = re.findall(r'<script id="_dash-config"[^>]*>(.*?)</script>', viewer.get("/").text)
    told = json.loads(config)
    assert told["python_version"] == ""
    assert not told["ui"]
    assert not told.get("hot_reload")
