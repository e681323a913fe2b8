"""The made night: what is promised of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import night


def test_an_hour_has_the_published_size_and_the_promised_entropy(tmp_path: Path) -> None:
    path = night.night_file(tmp_path, 1)
    assert path.stat().st_size == 42_399_744
    assert night.difference_entropy(path) == pytest.approx(6.0, abs=0.05)
    samples = night.digital(path, 0, 3600)
    assert (samples.min(), samples.max()) > (night.DIGITAL[0], -1)
    assert len(np.unique(samples[[14, 22]], axis=0)) == 2  # T8-P8 twice, and not the same
    seizure = slice((night.FIRST_SEIZURE_S + 10) * night.RATE, (night.FIRST_SEIZURE_S + 30) * 256)
    assert samples[:, seizure].std() > 1.5 * samples.std()


def test_a_short_night_begins_as_a_long_one_and_others_differ(tmp_path: Path) -> None:
    short, long = night.night_file(tmp_path, 90 / 3600), night.night_file(tmp_path, 200 / 3600)
    assert night.records(short).shape == (90, 23, 256)
    np.testing.assert_array_equal(night.records(short), night.records(long)[:90])
    other = night.night_file(tmp_path, 90 / 3600, seed=1)
    assert not np.array_equal(night.records(short), night.records(other))
    assert list(tmp_path.glob("*.unfinished")) == []


def test_mne_reads_it(tmp_path: Path) -> None:
    import mne

    path = night.night_file(tmp_path, 70 / 3600)
    raw = mne.io.read_raw_edf(path, verbose="error")
    assert raw.info["sfreq"] == night.RATE
    expected = (night.digital(path, 0, 70) * night.FACTOR + night.OFFSET) * 1e-6
    np.testing.assert_allclose(raw.get_data(), expected, rtol=0, atol=1e-12)
