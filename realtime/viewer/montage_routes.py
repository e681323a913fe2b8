"""The route that tells which montages the viewer's files hold."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from realtime.viewer.callers import Callers
from realtime.viewer.montage_files import MontageFiles
from realtime.wire.viewer import MontagesAnswer

router = APIRouter()


@router.get("/montages")
async def montages(request: Request, response: Response) -> MontagesAnswer:
    """Return the montages of the files, and what is wrong with the files."""
    callers: Callers = request.app.state.callers
    callers.authorization(request)
    response.headers["Cache-Control"] = "no-cache"
    files: MontageFiles = request.app.state.montages
    return await asyncio.to_thread(files.read)
