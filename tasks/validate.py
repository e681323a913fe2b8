"""The step of asking PyNWB about a file."""

from __future__ import annotations

import warnings

MOST_FINDINGS = 20


def validate_nwb(source: str) -> tuple[str, ...]:
    """Return what PyNWB's validator finds wrong with a local HDF5 file, one line each.

    Anything that PyNWB cannot even open is a finding, too.
    """
    if source.startswith("s3://") or source.endswith(".zarr"):
        return ("not checked, PyNWB validates local HDF5 files only",)
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outcome = pynwb.validate(path=source)
        except Exception as error:  # noqa: BLE001  # whatever stops PyNWB is what was asked for
            return (_one_line(f"cannot be opened: {type(error).__name__}: {error}"),)
    # Some versions return the findings, others the findings and a status.
    findings = outcome[0] if isinstance(outcome, tuple) else outcome
    return tuple(_one_line(str(finding)) for finding in findings[:MOST_FINDINGS])


def _one_line(text: str) -> str:
    return " ".join(text.split())
