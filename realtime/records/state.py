"""What the routes of the records service share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from prometheus_client import Counter
from starlette.requests import HTTPConnection

from realtime.records.access import Access
from realtime.records.compactor import Compactor
from realtime.records.follow import Followers
from realtime.records.intake import Intake
from realtime.runtime.meters import Meters
from storage.recording_store import RecordingStore


class Parts:
    """The parts of one running service.

    Parameters
    ----------
    store
        Recordings at rest.
    access
        Who may do what.
    intake
        Where chunks belong.
    followers
        Who waits for new samples.
    compactor
        Moves whole blocks from the catalogue into the store.
    meters
        What is counted.
    window_limit
        Most samples of an answer that is not decimated.
    """

    def __init__(
        self,
        *,
        store: RecordingStore,
        access: Access,
        intake: Intake,
        followers: Followers,
        compactor: Compactor,
        meters: Meters,
        window_limit: int,
    ) -> None:
        self.store = store
        self.access = access
        self.intake = intake
        self.followers = followers
        self.compactor = compactor
        self.meters = meters
        self.window_limit = window_limit
        self.chunks: Counter = meters.counter("chunks", "Chunks by outcome", "outcome")
        self.samples: Counter = meters.counter("samples", "Samples stored, all channels counted")


async def parts_of(connection: HTTPConnection) -> Parts:
    """Return the parts of the service that a request came to.

    Not a plain function, which would be called in another thread: 0.2 ms for nothing.
    """
    parts: Parts = connection.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]
