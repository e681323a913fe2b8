"""The viewer's peer: the plain Dash application, whose server returns a figure for each page.

``python -m tests.baselines.dash_scattergl URL PATIENT RECORDING`` prints where it listens as a line
of JSON, and serves until it is stopped. A click on "next" runs a callback; it asks the records
service for the window as columns of JSON, through a connection that is kept, and returns a figure
of one trace per channel. The link says which: ``?kind=gl&t=0&w=10`` draws ``go.Scattergl``,
``kind=svg`` ``go.Scatter``. Kindly done: values are 32-bit and sent as Base64, times as a beginning
and a step.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import closing
from urllib.parse import parse_qs

import httpx
import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]
import uvicorn
from dash import Dash, Input, Output, State, ctx, dcc, html
from fastapi import FastAPI

SPACE_UV = 200.0
KINDS = {"gl": go.Scattergl, "svg": go.Scatter}


class Windows:
    """Asks the records service for windows of one recording.

    Parameters
    ----------
    url, patient, recording
        Which.
    """

    def __init__(self, url: str, patient: str, recording: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)
        self._asked = {"patient_id": patient, "recording_id": recording, "format": "columns"}

    def figure(self, kind: str, start: float, window: float) -> go.Figure:
        """Return a page as a figure."""
        ends = {"start": start, "end": start + window}
        answer = self._client.get("/eeg", params={**self._asked, **ends})
        answer.raise_for_status()
        (group,) = answer.json()["groups"]
        channels = [channel["key"] for channel in group["channels"]]
        places = [-SPACE_UV * number for number in range(len(channels))]
        traces = [
            KINDS[kind](
                x0=start,
                dx=window / len(values),
                y=np.array(values, np.float32) + np.float32(place),
                mode="lines",
                line={"width": 1, "color": "#1f3a5f"},
                name=name,
            )
            for name, values, place in zip(channels, group["values"], places, strict=True)
        ]
        figure = go.Figure(traces)
        figure.update_layout(
            showlegend=False,
            margin={"l": 80, "r": 10, "t": 10, "b": 40},
            xaxis={"range": [start, start + window]},
            yaxis={"tickvals": places, "ticktext": channels, "range": [places[-1] - 200, 200]},
        )
        return figure


def application(windows: Windows) -> FastAPI:
    """Return the application."""
    server = FastAPI()
    app = Dash(__name__, server=server)  # type: ignore[arg-type]
    app.layout = html.Div(
        [
            dcc.Location(id="link"),
            html.Button("next", id="next"),
            dcc.Store(id="start"),
            dcc.Graph(id="traces", style={"height": "calc(100vh - 60px)"}),
        ]
    )

    @app.callback(
        Output("traces", "figure"),
        Output("start", "data"),
        Input("next", "n_clicks"),
        Input("link", "search"),
        State("start", "data"),
    )
    def turn(_: int | None, search: str, start: float | None) -> tuple[go.Figure, float]:
        asked = {name: each[0] for name, each in parse_qs(search.removeprefix("?")).items()}
        window = float(asked.get("w", 10))
        if start is None or ctx.triggered_id != "next":
            start = float(asked.get("t", 0))
        else:
            start += window
        return windows.figure(asked.get("kind", "gl"), start, window), start

    return server


def main() -> None:
    """Serve until a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = application(Windows(*sys.argv[1:4]))
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
