"""Every recorded EDF and BDF file: the samples, times and texts are those that others read."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import edfio
import mne
import numpy as np
import pyedflib
import pytest
from numpy.typing import NDArray

from storage.edf import EdfSource
from storage.spans import Span

pytestmark = pytest.mark.usefixtures("nothing_left_over")

# What it refuses, and why.
NOT_PYEDFLIB = {
    "test_uneven_samp.edf",  # impossible start date
}
ROOT = Path(__file__).parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("RANVIER_TEST_DATA", ROOT))
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.[eb]df"))


@pytest.fixture(params=FILES)
def source(request: pytest.FixtureRequest, data: Path) -> Any:
    with EdfSource(str(data / request.param)) as source:
        yield source


def channels_of(source: EdfSource) -> dict[int, tuple[int, int]]:
    """Return group and column by the place of a signal in its file."""
    return {
        int(channel.details["signal"]): (number, column)
        for number, group in enumerate(source.recording.groups)
        for column, channel in enumerate(group.channels)
    }


def numbers_of(source: EdfSource, group: int) -> NDArray[Any]:
    return source.read(group, Span(0, source.recording.groups[group].n_samples))


def test_there_are_files(data: Path) -> None:
    assert len(FILES) > 30


def test_samples_and_values_equal_those_of_edfio(source: EdfSource) -> None:
    read = edfio.read_bdf if source.header.bdf else edfio.read_edf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other: Any = read(source.url)
        ordinary = [signal for signal in source.header.signals if not signal.is_annotations]
        places = channels_of(source)
        assert len(other.signals) == len(ordinary)
        for mine, theirs in zip(ordinary, other.signals, strict=True):
            group, column = places[mine.index]
            numbers = numbers_of(source, group)[:, column]
            np.testing.assert_array_equal(numbers, theirs.digital)
            channel = source.recording.groups[group].channels[column]
            assert channel.label == theirs.label
            if channel.unit != "uncalibrated":
                wanted = theirs.data * channel.scaling.to_unit
                span = np.abs(wanted).max(initial=1.0)
                values = channel.scaling.apply(numbers)
                np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-12 * span)
        wanted_texts = sorted((one.onset, one.text) for one in other.annotations)
    texts = sorted(
        (one.onset_us, one.text) for one in source.recording.annotations if one.source == "edf"
    )
    assert [text for _, text in texts] == [text for _, text in wanted_texts]
    wanted_us = [onset * 1e6 for onset, _ in wanted_texts]
    np.testing.assert_allclose([onset for onset, _ in texts], wanted_us, rtol=0, atol=1)


def test_samples_equal_those_of_pyedflib(source: EdfSource) -> None:
    name = source.recording.id
    try:
        other = pyedflib.EdfReader(source.url)
    except OSError:
        assert name in NOT_PYEDFLIB
        return
    with other:
        places = channels_of(source)
        assert other.signals_in_file == len(places)
        for number, index in enumerate(sorted(places)):
            group, column = places[index]
            numbers = numbers_of(source, group)[:, column]
            np.testing.assert_array_equal(numbers, other.readSignal(number, digital=True))
            rate = source.recording.groups[group].rate_hz
            assert rate == pytest.approx(other.getSampleFrequency(number))
        onsets, _, texts = other.readAnnotations()
        moment = np.datetime64(other.getStartdatetime(), "us").astype(np.int64)
    if source.recording.start_known:
        # The century of a plain file is a matter of opinion.
        assert abs(int(moment) - source.recording.start_us) < 1_000_000
    wanted = sorted(zip((round(onset * 1e6) for onset in onsets), texts, strict=True))
    mine = sorted(
        (one.onset_us, one.text) for one in source.recording.annotations if one.source == "edf"
    )
    assert [text for _, text in mine] == [text for _, text in wanted]
    np.testing.assert_allclose([at for at, _ in mine], [at for at, _ in wanted], rtol=0, atol=1)


def test_values_and_texts_equal_those_of_mne(source: EdfSource) -> None:
    if not source.recording.groups:
        pytest.skip("MNE reads no file without signals")
    read = mne.io.read_raw_bdf if source.header.bdf else mne.io.read_raw_edf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = read(source.url, stim_channel=False, infer_types=False, verbose="error")
    fastest = max(range(len(source.recording.groups)), key=_rates(source).__getitem__)
    group = source.recording.groups[fastest]
    assert raw.info["sfreq"] == pytest.approx(group.rate_hz)
    places = channels_of(source)
    numbers = numbers_of(source, fastest)
    compared = 0
    for place, index in enumerate(sorted(places)):
        # Slower signals are interpolated there.
        if places[index][0] != fastest:
            continue
        channel = group.channels[places[index][1]]
        values = channel.scaling.apply(numbers[:, places[index][1]])
        wanted = raw.get_data([place], units=None)[0]
        if channel.unit != "uV":
            continue
        span = np.abs(values).max(initial=1.0)
        np.testing.assert_allclose(values, wanted * 1e6, rtol=0, atol=1e-9 * span)
        compared += 1
    assert compared or all(channel.unit != "uV" for channel in group.channels)
    if source.recording.start_known and raw.info["meas_date"] is not None:
        mine = source.recording.start_us - source.recording.start_us % 1_000_000
        assert raw.info["meas_date"].timestamp() * 1e6 == mine


def _rates(source: EdfSource) -> list[float]:
    return [group.rate_hz for group in source.recording.groups]
