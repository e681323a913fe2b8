"""The route that says that the viewer runs, for whoever watches over it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from realtime.wire.viewer import HealthAnswer

router = APIRouter()


@router.api_route("/health", methods=["GET", "HEAD"])
async def health(response: Response) -> HealthAnswer:
    """Say so; whether the records service runs is for its own route to say."""
    response.headers["Cache-Control"] = "no-store"
    return HealthAnswer(status="ok")
