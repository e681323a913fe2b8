"""Which channel is which: tables of cases, and what holds for any."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import CorruptRecording, Rejected
from storage.pennsieve.channel_match import (
    RemoteChannel,
    creation,
    extension,
    match,
    read_listing,
)
from tests.support.pennsieve_cases import channel_metadata


def remote(id_: str = "r", **changes: Any) -> RemoteChannel:
    """Return a channel of the platform that agrees with ``ours()``, but for the changes."""
    content = {
        "name": "CH1",
        "start": 0,
        "end": 10,
        "unit": "uV",
        "rate": 1000.0,
        "channelType": "CONTINUOUS",
        "group": "shank1",
        "lastAnnotation": 0,
    }
    return RemoteChannel(id_, content | {"id": id_} | changes)


def ours(**changes: Any) -> dict[str, Any]:
    """Return one of our channels."""
    return channel_metadata(1, **({"name": "CH1", "rate": 1000.0, "start": 0, "end": 10} | changes))


@pytest.mark.parametrize(
    ("theirs", "agrees"),
    [
        ({}, True),
        ({"name": "ch1"}, True),
        ({"name": " CH1 "}, True),
        ({"name": "CH2"}, False),
        ({"name": None}, False),
        ({"channelType": "continuous"}, True),
        ({"channelType": "UNIT"}, False),
        ({"channelType": None}, False),
        ({"group": None}, True),
        ({"group": ""}, True),
        ({"group": "shank2"}, False),
        ({"rate": 1000}, True),
        ({"rate": 1019.0}, True),
        ({"rate": 1021.0}, False),
        ({"rate": 985.0}, True),
        ({"rate": 980.0}, False),
        ({"rate": 0}, False),
        ({"rate": 0.0}, False),
        ({"rate": None}, False),
        ({"start": None, "end": None, "unit": None, "lastAnnotation": None}, True),
    ],
)
def test_what_agrees(theirs: dict[str, Any], agrees: bool) -> None:
    found = match({0: ours()}, [remote(**theirs)])
    assert bool(found.ids) == agrees
    assert found.missing == (() if agrees else (0,))


def test_a_bare_channel_matches_nothing() -> None:
    assert match({0: ours()}, [RemoteChannel("r", {"id": "r"})]).missing == (0,)


def test_two_of_ours_never_share_one_of_theirs() -> None:
    pair = {0: ours(group="a"), 1: ours(group="b")}
    found = match(pair, [remote("only", group=None)])
    assert found.ids == {0: "only"}
    assert found.missing == (1,)


def test_equal_groups_come_before_none() -> None:
    pair = {0: ours(group="a"), 1: ours(group="b")}
    found = match(pair, [remote("any", group=None), remote("a", group="a")])
    assert found.ids == {0: "a", 1: "any"}
    found = match(pair, [remote("any", group=None), remote("b", group="b")])
    assert found.ids == {0: "any", 1: "b"}


def test_the_closest_rate_wins() -> None:
    pair = {0: ours(rate=1000.0), 1: ours(rate=1010.0)}
    theirs = [remote("x", rate=1011.0), remote("y", rate=1001.0)]
    assert match(pair, theirs).ids == {0: "y", 1: "x"}
    assert match(pair, theirs[::-1]).ids == {0: "y", 1: "x"}
    assert match(pair, [remote("x", rate=1009.0)]).ids == {1: "x"}


CHANNELS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["A", "a", "B", None]),
        "channelType": st.sampled_from(["CONTINUOUS", "continuous", None]),
        "group": st.sampled_from(["g1", "g2", None]),
        "rate": st.sampled_from([0, None, 990.0, 1000.0, 1005.0, 2000.0]),
    }
)
OURS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["A", "B"]),
        "type": st.just("CONTINUOUS"),
        "group": st.sampled_from(["g1", "g2"]),
        "rate": st.sampled_from([1000.0, 1010.0, 2000.0]),
    }
)


@given(st.lists(OURS, max_size=6), st.lists(CHANNELS, max_size=6), st.randoms())
def test_pairs_are_one_to_one_in_any_order(
    local: list[dict[str, Any]], theirs: list[dict[str, Any]], random: Any
) -> None:
    mine = dict(enumerate(local))
    remotes = [RemoteChannel(f"r{index}", content) for index, content in enumerate(theirs)]
    found = match(mine, remotes)
    assert len(set(found.ids.values())) == len(found.ids)
    assert sorted([*found.ids, *found.missing]) == sorted(mine)
    random.shuffle(remotes)
    assert match(mine, remotes).ids == found.ids


@given(st.lists(OURS, max_size=6), st.lists(CHANNELS, max_size=6))
def test_a_second_run_finds_what_the_first_one_left(
    local: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> None:
    mine = dict(enumerate(local))
    remotes = [RemoteChannel(f"r{index}", content) for index, content in enumerate(theirs)]
    first = match(mine, remotes)
    created = {index: f"s{index}" for index in first.missing}
    remotes += [
        RemoteChannel(id_, mine[index] | {"channelType": mine[index]["type"]})
        for index, id_ in created.items()
    ]
    second = match(mine, remotes)
    assert not second.missing


def test_the_body_of_a_creation() -> None:
    body = creation(ours())
    assert body == {
        "name": "CH1",
        "start": 0,
        "end": 10,
        "unit": "uV",
        "rate": 1000.0,
        "channelType": "CONTINUOUS",
        "group": "shank1",
        "lastAnnotation": 0,
        "properties": [],
    }
    assert "id" not in creation(ours(id=None))


@pytest.mark.parametrize("name", ["", "   "])
def test_a_blank_name_is_not_sent(name: str) -> None:
    with pytest.raises(CorruptRecording, match="missing a name; convert the recording again"):
        creation(ours(name=name))


def test_metadata_must_be_complete() -> None:
    lacking = ours()
    del lacking["unit"]
    with pytest.raises(CorruptRecording, match="missing unit"):
        creation(lacking)


@pytest.mark.parametrize(
    ("theirs", "extended"),
    [
        ((0, 10), None),
        ((-5, 20), None),
        ((0, 9), (0, 10)),
        ((1, 10), (0, 10)),
        ((5, 20), (0, 20)),
        ((-5, 5), (-5, 10)),
        ((None, None), (0, 10)),
        ((None, 20), (0, 20)),
    ],
)
def test_a_channel_is_widened_and_never_shrinks(
    theirs: tuple[int | None, int | None], extended: tuple[int, int] | None
) -> None:
    body = extension(ours(), remote(start=theirs[0], end=theirs[1]))
    assert (None if body is None else (body["start"], body["end"])) == extended


def test_widening_keeps_what_the_platform_knows() -> None:
    theirs = RemoteChannel(
        "r",
        {
            "id": "r",
            "name": "ch1",
            "end": 5,
            "start": 0,
            "rate": 1001.0,
            "channelType": "continuous",
            "group": None,
            "unit": None,
            "lastAnnotation": 7,
            "spikeDuration": 3,
            "createdAt": "today",
        },
        ({"key": "k", "value": "v"},),
    )
    assert extension(ours(), theirs) == {
        "id": "r",
        "name": "ch1",
        "start": 0,
        "end": 10,
        "unit": "uV",
        "rate": 1001.0,
        "channelType": "continuous",
        "lastAnnotation": 7,
        "spikeDuration": 3,
        "properties": [{"key": "k", "value": "v"}],
    }


def test_a_listing_may_be_one_channel() -> None:
    entry = {"content": {"id": "r", "name": "CH1"}}
    assert read_listing(entry, "GET x") == read_listing([entry], "GET x")


@pytest.mark.parametrize("listed", [None, "text", [1], [{}], [{"content": {"name": "x"}}]])
def test_a_strange_listing_is_refused(listed: object) -> None:
    with pytest.raises(Rejected, match="GET x: expected"):
        read_listing(listed, "GET x")
