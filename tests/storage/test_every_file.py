"""The table of all files in the folders of recorded data: what becomes of each, and why.

Every file that is taken in is compared with another reader, sample for sample; every other one is
refused for the reason that the table gives, or passed over since it is no recording.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edfio
import h5py
import mne
import numpy as np
import pytest
import pyxdf
from numpy.typing import NDArray

from storage.protocols import RecordingSource, has_stamps
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from storage.spans import Span
from tests.support.command_line import Ran, ranvier

NO_SERIES = "holds no ElectricalSeries"
NO_RECORDING = "is none of the formats that are read"

# What is taken in: its format, and the samples of each channel for each of its rates.
STORED: dict[str, tuple[str, dict[str, int]]] = {
    "chbmit/chb01_03_clip.edf": ("edf", {"256": 12800}),
    "chbmit/chb01_04_clip.edf": ("edf", {"256": 9472}),
    **{
        f"chbmit/chb05/chb05_{number}.edf": ("edf", {"256": 512})
        for number in ("01", "02", "03", "04", "05", "06", "13", "16", "17", "22")
    },
    "edf/SC4001EC-Hypnogram.edf": ("edf", {}),
    "edf/chtypes_edf.edf": ("edf", {"200": 1000}),
    "edf/eyes_closed_30ch.edf": ("edf", {"250": 48000}),
    "edf/mne_test.bdf": ("bdf", {"512": 3072}),
    "edf/mne_test.edf": ("edf", {"512": 3072}),
    "edf/sample_seeg.edf": ("edf", {"1000": 20000}),
    "edf/short_psg.edf": ("edf", {"100": 30000, "1": 300}),
    "edf/test_bdf_stim_channel.bdf": ("bdf", {"500": 5000}),
    "edf/test_generator.bdf": (
        "bdf",
        {"1000": 30000, "800": 24000, "500": 15000, "975": 29250, "999": 29970},
    ),
    "edf/test_reduced.edf": ("edf", {str(1 << n): 6 << n for n in range(10)}),
    "edf/test_subsecond.edf": ("edf", {"128": 89344}),
    "edf/test_uneven_samp.edf": ("edf", {"100": 11000, "64/5": 1408}),
    "edf/test_utf8_annotations.edf": ("edf", {"200": 2000}),
    "motor_imagery/S001R01.edf": ("edf", {"160": 9760}),
    "motor_imagery/S001R02.edf": ("edf", {"160": 9760}),
    "motor_imagery/S001R04.edf": ("edf", {"160": 20000}),
    "motor_imagery/S001R08.edf": ("edf", {"160": 20000}),
    "muse/N170_subject1_2017-09-13-15.30.01.csv": ("muse-lsl", {"256": 30732}),
    "muse/P300_subject1_2017-02-04-15_45_13.csv": ("muse-lsl", {"256": 30732}),
    "muse/P300_subject1_2017-02-04-15_47_49.csv": ("muse-lsl", {"256": 30732}),
    "muse/mindmonitor_museS_1hz.csv": ("mind-monitor", {"1": 59}),
    "muse/museS_athena_clock.xdf": (
        "xdf",
        {"52": 1854, "64": 2290, "256": 9102, "1": 35, "1000": 35520},
    ),
    "nwb/spikeglx_ap_stub.nwb": ("nwb", {"30000": 100}),
    "nwb/spikeglx_lf_stub.nwb": ("nwb", {"2500": 100}),
    "nwb/test_ElectricalSeries.nwb": ("nwb", {"10": 10}),
    "nwb/test_LFP.nwb": ("nwb", {"10": 10}),
    "openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt": ("openbci", {"250": 22490}),
    **{f"siena/PN00-{number}.edf": ("edf", {"512": 1024}) for number in range(1, 6)},
    "ssvep_gdf/subject01_2012.07.06-19.02.16.gdf": ("gdf", {"256": 57024}),
    "xdf/empty_streams.xdf": ("xdf", {"1": 10}),
    "xdf/minimal.xdf": ("xdf", {"10": 9}),
}
# What looks like a recording and cannot be taken in.
REFUSED = {
    "chbmit/chb01_03.edf.seizures": "seizures of a recording that is not there",
    "chbmit/chb01_04.edf.seizures": "seizures of a recording that is not there",
    "mc_maze/mc_maze_full_trial748_recontained.nwb": NO_SERIES,
    "nwb/1.0.2_nwbfile.nwb": NO_SERIES,
    "nwb/1.5.1_timeseries_no_unit.nwb": NO_SERIES,
    "nwb/2.1.0_nwbfile_with_extension.nwb": NO_SERIES,
    "nwb/mock_ttl_examples.nwb": NO_SERIES,
    "nwb/sub-anm00239123_ses-20170627T093549_ecephys+ogen.nwb": NO_SERIES,
    "nwb/test_TimeSeries.nwb": NO_SERIES,
}
# No recordings; refused if somebody names them.
PASSED_OVER = {
    "chbmit/chb01-summary.txt",
    "chbmit/chb01_03_ictal.npy",
    "chbmit/chb01_03_preictal10s.npy",
    "chbmit/chb01_clips-summary.txt",
    "chbmit/chb05/SUBJECT-INFO",
    "chbmit/chb05/chb05-summary.txt",
    "mc_maze/trial_748_data.csv",
    "siena/Seizures-list-PN00.txt",
}
FOLDERS = (
    "chbmit", "edf", "mc_maze", "motor_imagery", "muse", "nwb", "openbci", "siena", "ssvep_gdf",
    "xdf",
)  # fmt: skip
# Seizures by the files beside; a clip knows only what its own summary says.
SEIZURES_S = {
    "chb01_03_clip.edf": [(10, 40)],
    "chb01_04_clip.edf": [(10, 27)],
    "chb05_06.edf": [(417, 115)],
    "chb05_13.edf": [(1086, 110)],
    "chb05_16.edf": [(2317, 96)],
    "chb05_17.edf": [(2451, 120)],
    "chb05_22.edf": [(2348, 117)],
    "PN00-1.edf": [(1143, 70)],
    "PN00-2.edf": [(1220, 54)],
    "PN00-3.edf": [(765, None)],
    "PN00-4.edf": [(1006, 74)],
    "PN00-5.edf": [(904, 67)],
}


@dataclass(frozen=True, slots=True)
class Taken:
    """The store after everything was taken in, and what the command said."""

    store: RecordingStore
    ran: Ran
    again: Ran
    by_file: dict[str, dict[str, str | None]]

    def entry(self, name: str) -> Any:
        """Return the recording that a file became."""
        patient = Path(name).parent.name
        found = self.by_file[name]["recording_id"]
        assert found is not None
        made = found.startswith("recording-")
        return self.store.catalog.find(found, None if made else patient)


@pytest.fixture(scope="module")
def taken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    """Take in all the folders, twice."""
    home = tmp_path_factory.mktemp("home")
    env = {"RANVIER_HOME": str(home)}
    words = ("ingest", *(str(data / folder) for folder in FOLDERS), "--json")
    ran, again = ranvier(*words, env=env), ranvier(*words, env=env)
    by_file = {
        Path(one["source"]).relative_to(data).as_posix(): one for one in ran.json["recordings"]
    }
    settings = RecordsSettings(home=home)
    with RecordingStore.open(settings.store_url, settings.catalog_url) as store:
        yield Taken(store, ran, again, by_file)


def test_the_table_is_that_of_the_folders(data: Path) -> None:
    there = {
        path.relative_to(data).as_posix()
        for folder in FOLDERS
        for path in (data / folder).rglob("*")
        if path.is_file() and path.name != "SOURCES.md"
    }
    assert there == {*STORED, *REFUSED, *PASSED_OVER}


def test_every_file_fares_as_the_table_says(taken: Taken) -> None:
    assert taken.ran.code == 1
    assert set(taken.by_file) == {*STORED, *REFUSED}
    for name, one in taken.by_file.items():
        wanted = "refused" if name in REFUSED else "stored"
        assert one["outcome"] == wanted, one
        assert (one["recording_id"] is None) == (wanted == "refused")
        if name in REFUSED:
            assert REFUSED[name] in str(one["reason"])
            assert Path(name).name in str(one["reason"])


def test_a_second_time_changes_nothing(taken: Taken) -> None:
    assert taken.again.code == 1
    for one in taken.again.json["recordings"]:
        assert one["outcome"] in ("unchanged", "refused"), one
    names = [one["recording_id"] for one in taken.again.json["recordings"]]
    assert names == [one["recording_id"] for one in taken.ran.json["recordings"]]


def test_everything_holds(taken: Taken) -> None:
    entries = taken.store.catalog.recordings(unfinished=True)
    assert len(entries) == len(STORED)
    for entry in entries:
        assert entry.sealed
        report = taken.store.verify(entry)
        assert not report.problems, (entry.name, report.problems[0])


@pytest.mark.parametrize("name", sorted(PASSED_OVER))
def test_what_is_no_recording_is_refused_if_it_is_named(
    name: str, data: Path, tmp_path: Path
) -> None:
    done = ranvier("ingest", str(data / name), "--json", env={"RANVIER_HOME": str(tmp_path)})
    assert done.code == 1
    (one,) = done.json["recordings"]
    assert one["outcome"] == "refused"
    assert NO_RECORDING in one["reason"]


@pytest.mark.parametrize("name", sorted(STORED))
def test_the_store_holds_what_another_reader_reads(name: str, taken: Taken, data: Path) -> None:
    kind, samples = STORED[name]
    entry = taken.entry(name)
    assert entry.kind == kind
    with taken.store.source(entry) as source:
        for group in source.recording.groups:
            assert samples[str(group.exact_rate_hz)] == group.n_samples
        assert {str(group.exact_rate_hz) for group in source.recording.groups} == set(samples)
        others = OTHER_READERS[kind](data / name)
        assert len(others) == sum(len(group.channels) for group in source.recording.groups)
        for number, group in enumerate(source.recording.groups):
            stored = source.read(number, Span(0, group.n_samples))
            for column, channel in enumerate(group.channels):
                values = channel.scaling.apply(np.ascontiguousarray(stored[:, column]))
                wanted = others[key_of(source, number, column)]
                scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-30)
                np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-9 * scale)
        if kind in ("xdf", "muse-lsl", "openbci", "mind-monitor"):
            assert has_stamps(source)


@pytest.mark.parametrize("name", sorted(name for name in STORED if name.endswith(("edf", "bdf"))))
def test_the_very_file_comes_back(name: str, taken: Taken, data: Path) -> None:
    from storage.edf_original import rebuild_source
    from storage.protocols import has_original

    with taken.store.source(taken.entry(name)) as source:
        assert has_original(source)
        anonymised = b"".join(rebuild_source(source, with_names=False))
    there = (data / name).read_bytes()
    assert anonymised[:8] == there[:8]
    assert anonymised[184:] == there[184:]


def test_seizures_are_where_the_lists_say(taken: Taken) -> None:
    for name in STORED:
        held = taken.store.catalog.annotations(taken.entry(name))
        found = [
            (
                one.annotation.onset_us / 1e6,
                None if one.annotation.duration_us is None else one.annotation.duration_us / 1e6,
            )
            for one in held
            if one.annotation.kind == "seizure"
        ]
        assert found == SEIZURES_S.get(Path(name).name, []), name


def key_of(source: RecordingSource, group: int, column: int) -> Any:
    """Return how the other readers' tables name a channel."""
    channel = source.recording.groups[group].channels[column]
    if "signal" in channel.details:
        return int(channel.details["signal"])
    return (source.recording.groups[group].name, column)


def read_edf(path: Path) -> dict[Any, NDArray[Any]]:
    reads = edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf
    to_microvolts = {"mv": 1e3, "v": 1e6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file: Any = reads(path)
        return {
            place: signal.data * to_microvolts.get(signal.physical_dimension.lower(), 1.0)
            for place, signal in zip(ordinary(path), file.signals, strict=True)
        }


def ordinary(path: Path) -> list[int]:
    """Return the places of the signals that hold no annotations."""
    head = path.read_bytes()[: 256 + 16 * 4096]
    count = int(head[252:256])
    labels = [head[256 + 16 * n : 272 + 16 * n] for n in range(count)]
    return [n for n, label in enumerate(labels) if b"Annotations" not in label]


def read_gdf(path: Path) -> dict[Any, NDArray[Any]]:
    raw = mne.io.read_raw_gdf(path, verbose="error")
    names = [n for n, name in enumerate(raw.ch_names) if name != "STIM"]
    values = raw.get_data(names) * 1e6
    return {("256 Hz", column): row for column, row in enumerate(values)}


def read_xdf(path: Path) -> dict[Any, NDArray[Any]]:
    streams, _ = pyxdf.load_xdf(path, verbose=False, dejitter_timestamps=False)
    found: dict[Any, NDArray[Any]] = {}
    for stream in streams:
        series = stream["time_series"]
        if not isinstance(series, np.ndarray) or not len(series):
            continue
        described = stream["info"]["desc"][0] or {}
        channels = (described.get("channels") or [{}])[0].get("channel") or []
        for column, values in enumerate(series.T):
            unit = (channels[column].get("unit") or [""])[0] if channels else ""
            factor = {"V": 1e6, "mV": 1e3}.get(unit, 1.0)
            found[(stream["info"]["name"][0], column)] = values.astype(np.float64) * factor
    return found


def read_nwb(path: Path) -> dict[Any, NDArray[Any]]:
    found: dict[Any, NDArray[Any]] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Group) and node.attrs.get("neurodata_type") == "ElectricalSeries":
            stored = node["data"]
            factor = stored.attrs.get("conversion", 1.0) * 1e6
            columns = np.atleast_2d(stored[()].T)
            for column, values in enumerate(columns):
                found[(name, column)] = values * factor

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def read_muse(path: Path) -> dict[Any, NDArray[Any]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    values = np.array(rows[1:], np.float64)
    return {("EEG", column): values[:, column + 1] for column in range(5)}


def read_mind_monitor(path: Path) -> dict[Any, NDArray[Any]]:
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["RAW_TP9"]]
    names = [name for name in rows[0] if name not in ("TimeStamp", "Elements")]
    kinds = {
        "bands": [n for n in names if n.startswith(("Delta", "Theta", "Alpha", "Beta", "Gamma"))],
        "RAW": [n for n in names if n.startswith(("RAW", "AUX"))],
        "motion": [n for n in names if n.startswith(("Acc", "Gyro"))],
        "fit": [n for n in names if n.startswith(("Head", "HSI"))],
        "battery": ["Battery"],
    }
    return {
        (kind, column): np.array([float(row[name]) for row in rows])
        for kind, chosen in kinds.items()
        for column, name in enumerate(chosen)
    }


def read_openbci(path: Path) -> dict[Any, NDArray[Any]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("%")]
    names = [name.strip() for name in lines[0].split(",")]
    columns = list(zip(*(line.split(",") for line in lines[1:]), strict=True))
    found: dict[Any, NDArray[Any]] = {}
    counts: dict[str, int] = {}
    for name, column in zip(names, columns, strict=True):
        if name.startswith("Timestamp"):
            continue
        kind = name.partition(" ")[0] if name.startswith(("EXG", "Accel")) else "other"
        found[(kind, counts.get(kind, 0))] = np.array(column, np.float64)
        counts[kind] = counts.get(kind, 0) + 1
    return found


OTHER_READERS = {
    "edf": read_edf,
    "bdf": read_edf,
    "gdf": read_gdf,
    "xdf": read_xdf,
    "nwb": read_nwb,
    "muse-lsl": read_muse,
    "mind-monitor": read_mind_monitor,
    "openbci": read_openbci,
}
