"""Places as people give them."""

from __future__ import annotations

from pathlib import Path


def absolute(url: str) -> str:
    """Return a path that means the same in any working folder; URLs stay as they are."""
    return url if "://" in url else str(Path(url).absolute())
