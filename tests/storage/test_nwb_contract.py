"""NWB files in every layout keep the promises of a source."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from storage.nwb import NwbOptions, NwbSource
from storage.protocols import RecordingSource
from tests.contracts.recording_source import RecordingSourceTests
from tests.support import nwb_files
from tests.support.nwb_files import SeriesSpec, uniform_times, with_gaps, write_nwb
from tests.support.nwb_zarr import write_nwb_zarr_v2, write_nwb_zarr_v3

pytestmark = pytest.mark.usefixtures("nothing_left_over")

GAPS = {1: 0.01, 700: 0.5, 701: 0.5, 1999: 2.0}


class NwbSourceTests(RecordingSourceTests):
    """Reads a local file."""

    options = NwbOptions()

    def open(self, path: Path) -> RecordingSource:
        return NwbSource(str(path), self.options)

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


class TestContiguous(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        return write_nwb(folder / "a.nwb", SeriesSpec(samples=40_000, rate_hz=30_000.0))


class TestGzip(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        spec = SeriesSpec(samples=4000, channels=5, chunks=(300, 2), gzip=4)
        return write_nwb(folder / "a.nwb", spec)


class TestGzipAndShuffle(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        spec = SeriesSpec(
            samples=4000, channels=5, dtype="int32", chunks=(512, 5), gzip=1, shuffle=True
        )
        return write_nwb(folder / "a.nwb", spec)


class TestAChunkForEachColumn(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        spec = SeriesSpec(samples=4000, dtype="float32", chunks=(4000, 1), gzip=1)
        return write_nwb(folder / "a.nwb", spec)


class TestChunksWithoutCompression(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        return write_nwb(folder / "a.nwb", SeriesSpec(samples=4000, chunks=(999, 3)))


class TestBigEndian(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        path = write_nwb(folder / "a.nwb", SeriesSpec(samples=4000))
        nwb_files.store_as(path, ">i2")
        return path


class TestChannelsFirst(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        path = write_nwb(folder / "a.nwb", SeriesSpec(samples=4000))
        nwb_files.make_channels_first(path)
        return path


class TestChannelsFirstInChunks(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        rows = np.arange(4000)
        turned = np.stack([rows + 7 * channel for channel in range(5)]).astype(np.int32)
        spec = SeriesSpec(
            samples=5, channels=5, data=turned, chunks=(2, 333), gzip=1, rate_hz=500.0
        )
        return write_nwb(folder / "a.nwb", spec)


class TestOneDimensional(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        path = write_nwb(folder / "a.nwb", SeriesSpec(samples=4000, channels=1))
        nwb_files.make_one_dimensional(path)
        return path


class TestDataInAnotherFile(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        path = write_nwb(folder / "a.nwb", SeriesSpec(samples=4000))
        nwb_files.move_data_out(path, folder / "other.h5")
        return path


class TestSeveralSeriesWithGaps(NwbSourceTests):
    options = NwbOptions(series=("all",))

    def make(self, folder: Path) -> Path:
        stamps = with_gaps(uniform_times(2000, 1000.0), GAPS)
        return write_nwb(
            folder / "a.nwb",
            SeriesSpec(name="raw", samples=2000, timestamps=stamps),
            SeriesSpec(name="filtered", container="FilteredEphys", chunks=(64, 4), gzip=1),
            SeriesSpec(name="lfp", module="ecephys", container="LFP", channels=2, rate_hz=250.0),
            SeriesSpec(name="filtered", module="ecephys", container="FilteredEphys"),
        )


class TestStampsOverSeveralBatches(NwbSourceTests):
    def make(self, folder: Path) -> Path:
        gaps = dict.fromkeys((65_535, 65_536, 65_537, 131_072, 140_000), 0.05)
        stamps = with_gaps(uniform_times(150_000, 2000.0), gaps)
        return write_nwb(
            folder / "a.nwb", SeriesSpec(samples=150_000, channels=1, timestamps=stamps)
        )


class TestRepaired(NwbSourceTests):
    options = NwbOptions(repair_timestamps=True)

    def make(self, folder: Path) -> Path:
        stamps = nwb_files.with_step_back(uniform_times(140_000, 1000.0), 70_000, 100.0)
        stamps = nwb_files.with_nan(stamps, 0, 1, 500, 65_535, 65_536, 65_537, 139_999)
        stamps = nwb_files.with_repeat(stamps, 1000)
        return write_nwb(
            folder / "a.nwb", SeriesSpec(samples=140_000, channels=1, timestamps=stamps)
        )


class TestRepairedWithTheRateKnown(TestRepaired):
    def open(self, path: Path) -> RecordingSource:
        return NwbSource(str(path), self.options, {"acquisition/raw": 1000.0})


class TestClassic(NwbSourceTests):
    options = NwbOptions(classic=True)

    def make(self, folder: Path) -> Path:
        stamps = with_gaps(uniform_times(2000, 1000.0), GAPS)
        return write_nwb(folder / "a.nwb", SeriesSpec(samples=2000, timestamps=stamps))


class ZarrSourceTests(NwbSourceTests):
    """Reads a folder."""

    specs = (
        SeriesSpec(samples=4000, channels=5, chunks=(300, 2)),
        SeriesSpec(
            name="slow",
            samples=2000,
            dtype="float32",
            channels=2,
            timestamps=with_gaps(uniform_times(2000, 1000.0), GAPS),
        ),
    )

    def change(self, path: Path) -> None:
        super().change(next(file for file in sorted(path.rglob("*")) if file.is_file()))


class TestZarr2(ZarrSourceTests):
    def make(self, folder: Path) -> Path:
        return write_nwb_zarr_v2(folder / "a.nwb.zarr", *self.specs)


class TestZarr3(ZarrSourceTests):
    def make(self, folder: Path) -> Path:
        return write_nwb_zarr_v3(folder / "a.nwb.zarr", *self.specs)
