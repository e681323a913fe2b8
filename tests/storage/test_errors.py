"""Every error has its place in the tree and a decision about another try."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from storage import errors
from storage.errors import RanvierError

RETRIED = {"Busy", "Unreachable", "StreamLost"}


def leaves(kind: type[RanvierError]) -> Iterator[type[RanvierError]]:
    # Modules that other tests have loaded add leaves of their own.
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    if not below:
        yield kind
    for each in below:
        yield from leaves(each)


def test_exactly_what_may_succeed_later_is_retryable() -> None:
    assert {leaf.__name__ for leaf in leaves(RanvierError) if leaf.retryable} == RETRIED


@pytest.mark.parametrize("leaf", list(leaves(RanvierError)))
def test_every_leaf_is_drawn_in_the_tree_and_survives_another_process(
    leaf: type[RanvierError],
) -> None:
    assert leaf.__name__ in (errors.__doc__ or "")
    copied = pickle.loads(pickle.dumps(leaf("file: found this, expected that")))
    assert type(copied) is leaf
    assert str(copied) == "file: found this, expected that"
