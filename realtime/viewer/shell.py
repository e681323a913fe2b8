"""The Dash application: the page's document, its layout, and the bundles that draw it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dash import Dash
from dash.fingerprint import check_fingerprint
from fastapi import FastAPI
from starlette.exceptions import HTTPException, WebSocketException
from starlette.types import ASGIApp, Receive, Scope, Send

from realtime.viewer.layout import layout

PLACE = Path(__file__).parent
POLICY = 1008  # of RFC 6455: a policy is violated
PAGE = PLACE / "page"
# The first sets the theme before anything is painted, the second belongs to the form of sign-in.
APART = {"first_paint.js", "signed_in.js"}

# What a browser needs of Dash: no callbacks are run here, so nothing that takes any is open.
OPEN = re.compile(r"/|/_dash-layout|/_dash-dependencies|/_favicon\.ico|/assets/.+")
BUNDLE = re.compile(r"/_dash-component-suites/([^/]+)/(.+)")
UNUSED = re.compile(r'<script src="[^"]*/dash_table/[^"]*"></script>\n?')

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
<script src="/page/first_paint.js"></script>
{%css%}
MODULES
</head>
<body>
{%app_entry%}
{%config%}
{%scripts%}
{%renderer%}
<script type="module" src="/page/main.js"></script>
</body>
</html>"""


class _Shell(Dash):
    """Dash without what this page does not use."""

    def _generate_scripts_html(self) -> str:
        return UNUSED.sub("", super()._generate_scripts_html())

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = super()._config()  # type: ignore[no-untyped-call]
        config.pop("websocket", None)  # or the page keeps trying to open one for callbacks
        return {**config, "python_version": "", "dash_version_url": ""}


def shell() -> tuple[ASGIApp, list[str]]:
    """Return the document's application, and the hashes of the scripts that stand in it."""
    server = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    dash = _Shell(
        "realtime.viewer",
        server=False,  # given below; here, Flask would be imported to find that it is not Flask
        backend="fastapi",
        assets_folder=str(PLACE / "assets"),
        index_string=INDEX.replace("MODULES", _preloads()),
        title="Ranvier",
        update_title="",
        serve_locally=True,
        enable_mcp=False,
        add_log_handler=False,
    )
    dash.layout = layout()
    dash.init_app(server)
    # Now, and not when the first person waits.
    dash._setup_server()  # type: ignore[no-untyped-call]
    return _Narrowed(server, dash.registered_paths), list(dash.csp_hashes())


def _preloads() -> str:
    # All at once, or each module would be found only when the one that imports it is there.
    names = sorted(each.name for each in PAGE.glob("*.js") if each.name not in APART)
    return "\n".join(f'<link rel="modulepreload" href="/page/{name}">' for name in names)


class _Narrowed:
    """Passes only what the page needs, and no start or stop: Dash would add a route for all."""

    def __init__(self, app: ASGIApp, bundles: Mapping[str, Collection[str]]) -> None:
        self._app = app
        self._bundles = bundles

    def _open(self, path: str) -> bool:
        bundle = BUNDLE.fullmatch(path)
        if bundle is None:
            return OPEN.fullmatch(path) is not None
        name = check_fingerprint(bundle[2])[0]  # type: ignore[no-untyped-call]
        return name in self._bundles.get(bundle[1], ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say that there is nothing."""
        if scope["type"] != "http":
            raise WebSocketException(POLICY)
        if not self._open(scope["path"]):
            raise HTTPException(404)
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        # Answered alike; the server sends no body after a HEAD.
        await self._app({**scope, "method": "GET"}, receive, send)
