"""Spans and how they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.spans import Span, cut

spans = st.tuples(st.integers(0, 10**12), st.integers(0, 10_000)).map(
    lambda ends: Span(ends[0], ends[0] + ends[1])
)


@given(spans, st.integers(1, 20_000))
def test_pieces_partition_the_span(span: Span, size: int) -> None:
    at = span.start
    for piece in cut(span, size):
        assert piece.start == at
        assert 0 < len(piece) <= size
        assert len(piece) == size or piece.stop == span.stop
        at = piece.stop
    assert at == span.stop


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_an_intersection_holds_what_both_hold(a: int, b: int, c: int, d: int) -> None:
    one, other = Span(a, a + b), Span(c, c + d)
    both = one.intersect(other)
    assert set(range(both.start, both.stop)) == set(range(a, a + b)) & set(range(c, c + d))
    assert len(both) == len(other.intersect(one))


@given(spans)
def test_a_span_has_the_length_of_its_range(span: Span) -> None:
    assert len(span) == len(range(span.start, span.stop))
    assert bool(span) == (span.stop > span.start)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 2), (-2, -1)])
def test_a_span_does_not_run_backwards(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=rf"\[{start}, {stop}\)"):
        Span(start, stop)


@pytest.mark.parametrize("size", [0, -5])
def test_pieces_have_a_size(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        list(cut(Span(0, 3), size))
