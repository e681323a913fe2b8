"""A made NWB file to try things on: several series, a gap, a late start."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

START = datetime(2026, 1, 15, 9, 30, 0, 250_000, tzinfo=UTC)
RAW_HZ, RAW_CHANNELS, RAW_SAMPLES = 10_000.0, 8, 300_000
GRID_HZ, GRID_CHANNELS, GRID_SAMPLES = 2_000.0, 4, 280_000
GAP_AT, GAP_S = 150_000, 2.5


def write_sample(path: Path) -> None:
    """Write the sample: two probes, 30 s at 10 kHz and 140 s with a pause at 2 kHz.

    The same content each time; written aside, then renamed.
    """
    from pynwb import NWBHDF5IO, H5DataIO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwb = NWBFile(
        session_description="made sample: noise with slow waves and spikes",
        identifier="ranvier-sample",
        session_start_time=START,
    )
    device = nwb.create_device(name="made device")
    nwb.add_electrode_column(name="channel_name", description="name of the channel")
    for shank, count in (("probe", RAW_CHANNELS), ("grid", GRID_CHANNELS)):
        group = nwb.create_electrode_group(
            name=shank, description=shank, location="nowhere", device=device
        )
        for index in range(count):
            nwb.add_electrode(
                group=group, location="nowhere", channel_name=f"{shank.upper()}{index + 1:02d}"
            )
    random = np.random.default_rng(20260115)

    def region(first: int, count: int) -> object:
        return nwb.create_electrode_table_region(
            region=list(range(first, first + count)), description="all of them"
        )

    nwb.add_acquisition(
        ElectricalSeries(
            name="Probe",
            data=H5DataIO(_signal(random, RAW_SAMPLES, RAW_CHANNELS, RAW_HZ), compression="gzip"),
            electrodes=region(0, RAW_CHANNELS),
            rate=RAW_HZ,
            starting_time=12.5,
            conversion=1.95e-7,
        )
    )
    stamps = np.arange(GRID_SAMPLES) / GRID_HZ
    stamps[GAP_AT:] += GAP_S
    nwb.add_acquisition(
        ElectricalSeries(
            name="Grid",
            data=_signal(random, GRID_SAMPLES, GRID_CHANNELS, GRID_HZ),
            electrodes=region(RAW_CHANNELS, GRID_CHANNELS),
            timestamps=stamps,
            conversion=2.5e-7,
            offset=1e-5,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.part.nwb")
    with NWBHDF5IO(aside, "w") as file:
        file.write(nwb)
    aside.replace(path)


def _signal(
    random: np.random.Generator, n_samples: int, n_channels: int, rate_hz: float
) -> NDArray[np.int16]:
    seconds = np.arange(n_samples)[:, None] / rate_hz
    phases = random.uniform(0, 2 * np.pi, n_channels)
    waves = 400 * np.sin(2 * np.pi * 8 * seconds + phases) + 900 * np.sin(
        2 * np.pi * 0.7 * seconds + phases
    )
    spikes = 1500 * (random.random((n_samples, n_channels)) < 5 / rate_hz)
    signal = waves + spikes + random.normal(0, 60, (n_samples, n_channels))
    rounded: NDArray[np.int16] = np.round(signal).astype(np.int16)
    return rounded
