"""The page's own modules, as they lie in the folder: asked for again, sent only when changed."""

from __future__ import annotations

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from realtime.viewer.shell import PAGE


class _Fresh(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def files() -> StaticFiles:
    """Return the application that answers with them."""
    return _Fresh(directory=PAGE)
