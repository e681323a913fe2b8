"""Problem bodies: each error of the tree has its status, and its one line."""

from __future__ import annotations

import inspect

import pytest

from realtime.runtime.problems import Problem, problem_of, status_of
from realtime.wire.fields import BadField
from storage import errors

LEAVES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, errors.RanvierError) and not each.__subclasses__()
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_has_a_status(kind: type[errors.RanvierError]) -> None:
    error = kind("what was found; what was expected")
    status = status_of(error)
    assert 400 <= status < 600
    # What may succeed when it is made again says so.
    assert kind.retryable == (status == 503) or kind in {
        errors.StreamOverrun,
        errors.ClientTooSlow,
    }
    body = problem_of(error)
    assert (body["status"], body["detail"]) == (status, str(error))


def test_further_members() -> None:
    conflict = problem_of(errors.ChunkConflict("differs", "a" * 64, "b" * 64))
    assert (conflict["status"], conflict["stored"][0], conflict["offered"][0]) == (409, "a", "b")
    field = problem_of(BadField("start", "is missing"))
    assert field["errors"] == [{"field": "start", "message": "is missing"}]
    assert problem_of(Problem(413, "too much", limit=5))["limit"] == 5


def test_a_service_has_errors_of_its_own() -> None:
    class Odd(errors.UsageError):
        pass

    assert status_of(Odd("x")) == 422
    assert status_of(Odd("x"), {Odd: 409}) == 409
