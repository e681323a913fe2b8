"""What the figures of the record store are held to, and what each of them is a figure of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.benchmark import Threshold

# Wire form, validation, and how it rests: of every program that is measured, by its short name.
SIDES = {
    "rows orm": "JSON, Pydantic, an ORM object per sample; rows, 2 indexes; PostgreSQL commit",
    "rows core": "JSON, Pydantic, bulk insert; rows, 2 indexes; PostgreSQL commit",
    "rows copy": "JSON, Pydantic, binary COPY; rows, 2 indexes; PostgreSQL commit",
    "ours json": "JSON, Pydantic and orjson, float64; SQLite commit, synced, chained audit row",
    "ours json declared": (
        "JSON, Pydantic and orjson, checked to the grid, int16; SQLite commit, synced, chained "
        "audit row"
    ),
    "ours raw": "raw int16, SHA-256 checked; SQLite commit, synced, chained audit row",
    "ours batch": "Arrow IPC, int16; SQLite group commit, synced, chained audit rows",
}
READ_SIDES = {
    "rows orm": "rows by ORM objects to dicts",
    "rows core": "plain rows to dicts",
    "blobs": "bytea, 1 row per second, not compressed, to float32 uV",
    "ours": "Zarr, int16, Blosc zstd 5 bitshuffle, to float32 uV",
    "edf memmap": "EDF records, not compressed, to float32 uV",
}
HTTP_SIDES = {
    "rows orm": "{timestamp, value} JSON by json, ORM",
    "rows core": "{timestamp, value} JSON by json, plain rows",
    "blobs json": "{timestamp, value} JSON by orjson, bytea",
    "blobs raw": "raw int16, bytea",
    "ours json": "{timestamp, value} JSON, Blosc int16",
    "ours columns": "columns in JSON, Blosc int16",
    "ours arrow": "Arrow IPC, Blosc int16",
    "ours raw": "raw int16, Blosc int16",
}
Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two calls of one job, and the bound of the ratio of their medians.

    Parameters
    ----------
    job, of
        Where the figures are: the job, and the window if it has some.
    above, below
        Names of the calls.
    bound, at_least
        Least or largest ratio.
    """

    job: str
    of: str | None
    above: str
    below: str
    bound: float
    at_least: bool = True

    def threshold(self, figures: Figures) -> Threshold | None:
        """Return the ratio as measured; None where the run was too short for it."""
        calls = figures[self.job]
        if self.of is not None:
            if self.of not in calls:
                return None
            calls = calls[self.of]
        sides = {"ingest": SIDES, "windows": READ_SIDES, "http": HTTP_SIDES}[self.job]
        what = {
            "ingest": "1 s chunk over HTTP",
            "windows": f"{self.of} s window in process",
            "http": f"{self.of} s window over HTTP",
        }[self.job]
        value = calls[self.above]["p50_ms"] / calls[self.below]["p50_ms"]
        described = f"{what}: [{sides[self.above]}] over [{sides[self.below]}], median"
        return Threshold(described, value, self.bound, self.at_least)


RATIOS = (
    Ratio("ingest", None, "rows orm", "ours json", 100),
    Ratio("ingest", None, "rows orm", "ours json declared", 100),
    Ratio("ingest", None, "rows copy", "ours json", 20),
    Ratio("ingest", None, "rows copy", "ours json declared", 20),
    Ratio("windows", "10", "ours", "blobs", 1.3, at_least=False),
    Ratio("windows", "60", "ours", "blobs", 1.5, at_least=False),
    Ratio("http", "10", "rows orm", "ours json", 30),
    Ratio("http", "10", "rows orm", "ours arrow", 200),
    Ratio("http", "60", "rows orm", "ours json", 30),
    Ratio("http", "60", "rows orm", "ours arrow", 200),
)


def thresholds(figures: Figures, on_disk: Figures, batch: Figures) -> Iterator[Threshold]:
    """Yield every bound with what was measured."""
    for ratio in RATIOS:
        if (found := ratio.threshold(figures)) is not None:
            yield found
    batches = figures["batches"]
    yield Threshold(
        f"chunks per second from {batches['clients']} clients: {SIDES['ours batch']}",
        batches["chunks_per_s"], 1000, True,
    )  # fmt: skip
    night, peers = on_disk["night"], figures["storage"]
    signals = night["signals"] / night["samples"]
    blobs = peers["blobs"] / peers["samples"]
    yield Threshold(
        "bytes of the night's signal files over those of one bytea row per second",
        signals / blobs, 0.5, False,
    )  # fmt: skip
    yield Threshold(
        "bytes per sample of the night, all signal files: Blosc zstd 5 bitshuffle",
        signals, 1.0, False,
    )  # fmt: skip
    yield Threshold(
        "overview, % of the signal files", 100 * night["overview"] / night["signals"], 6.0, False
    )
    yield Threshold(
        "colour density, % of the signal files",
        100 * night["density"] / night["signals"], 10.0, False,
    )  # fmt: skip
    ours, limit = batch["read ours"], batch["read fromfile"]
    yield Threshold(
        "EDF, whole night: CPU of our reader over np.fromfile, both to (channels, samples)",
        ours["cpu_s"] / limit["cpu_s"], 2.0, False,
    )  # fmt: skip
    yield Threshold("EDF, whole night: growth of memory, MB", ours["growth_mb"], 50.0, False)
    yield Threshold(
        "ingest of the whole night: peak memory, MB", batch["ingest"]["peak_mb"], 300.0, False
    )
    yield Threshold(
        "whole night at 2,000 pixels, in process, median ms",
        figures["overview"]["in process"]["p50_ms"], 10.0, False,
    )  # fmt: skip
