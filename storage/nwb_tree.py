"""What an NWB file looks like to its reader, whichever back end stores it.

HDF5 and Zarr hold the same tree of groups, arrays and attributes, with links and references
between them. The two back ends (``nwb_hdf5``, ``nwb_zarr``) resolve those, so that the reader
sees plain groups, arrays, strings and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording
from storage.spans import Span


class NwbArray(Protocol):
    """An array of the file."""

    is_group: Literal[False]

    @property
    def path(self) -> str:
        """Where it stands in the file, without a leading slash."""
        ...

    @property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as the path of what they point to."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; ``()`` for a scalar."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the stored numbers."""
        ...

    @property
    def chunk_shape(self) -> tuple[int, ...] | None:
        """Shape of the pieces that are stored, and perhaps compressed, together."""
        ...

    @property
    def root(self) -> NwbGroup:
        """The top group of the file that holds the array, which links may have led to."""
        ...

    def values(self) -> NDArray[np.generic]:
        """Return all of a small array; text as objects of ``str``, references as paths."""
        ...

    def read(self, *axes: Span) -> NDArray[np.generic]:
        """Return a block, one span for each axis."""
        ...

    def read_chunk(self, *corner: int) -> NDArray[np.generic]:
        """Return the stored piece whose first element is at ``corner``, cut at the array's end.

        May be called from several threads at once.
        """
        ...


class NwbGroup(Protocol):
    """A group of the file."""

    is_group: Literal[True]

    @property
    def path(self) -> str:
        """Where it stands in the file, without a leading slash; empty for the root."""
        ...

    @property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as the path of what they point to."""
        ...

    @property
    def identity(self) -> object:
        """Equal for two paths that lead to the same group."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of all members, sorted."""
        ...

    def member(self, name: str) -> NwbGroup | NwbArray | None:
        """Return a member, links followed, or None where there is none.

        Raises
        ------
        CorruptRecording
            If the member is a link that leads nowhere.
        """
        ...


class NwbFile(Protocol):
    """An open file."""

    @property
    def url(self) -> str:
        """Path or URL that it was opened from."""
        ...

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Changes whenever the content does: size, and time of change or the store's tag."""
        ...

    @property
    def root(self) -> NwbGroup:
        """The top group."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def is_group(node: NwbGroup | NwbArray | None) -> TypeGuard[NwbGroup]:
    """Whether something in the tree is there and is a group."""
    return node is not None and node.is_group


def is_array(node: NwbGroup | NwbArray | None) -> TypeGuard[NwbArray]:
    """Whether something in the tree is there and is an array."""
    return node is not None and not node.is_group


def find(group: NwbGroup, path: str) -> NwbGroup | NwbArray | None:
    """Return what stands at a path below a group, or None."""
    node: NwbGroup | NwbArray | None = group
    for name in path.strip("/").split("/"):
        if not is_group(node):
            return None
        node = node.member(name)
    return node


def array_at(group: NwbGroup, path: str) -> NwbArray | None:
    """Return the array at a path below a group, or None where there is none."""
    node = find(group, path)
    return node if is_array(node) else None


def number(value: object, what: str) -> float | np.floating:
    """Return a number that may be stored as an array of one element.

    NumPy's floats keep their type, Python's stay Python's: the precision of a product depends on
    it.

    Raises
    ------
    CorruptRecording
        If the value is not one number.
    """
    if isinstance(value, float) and not isinstance(value, np.floating):
        return value
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise CorruptRecording(f"{what} should be one number, found {value!r:.80}")
    item = array.reshape(-1)[0]
    return item if isinstance(item, np.floating) else float(item)
