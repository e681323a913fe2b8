"""Channels on the platform: created together, widened, never doubled."""

from __future__ import annotations

from typing import Any

import pytest

from storage.errors import Rejected, Unreachable
from storage.pennsieve.channels import settle_channels
from tests.support.faults import Fault
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import QUICK, Connect, channel_metadata

THREE = {index: channel_metadata(index) for index in range(3)}


def names(api: PennsieveApi, package_id: str) -> list[str]:
    """Return the names of a package's channels."""
    channels = api.platform.packages[package_id].channels.values()
    return sorted(channel["content"]["name"] for channel in channels)


def test_all_missing_channels_are_created_in_one_call(
    api: PennsieveApi, connected: Connect
) -> None:
    package = api.platform.add_package()
    ids = settle_channels(connected(api), package.id, THREE)
    assert api.routes[-2:] == ["channels", "create-channels"]
    assert isinstance(api.calls[-1].json, list)
    assert {index: package.channels[id_]["content"]["name"] for index, id_ in ids.items()} == {
        0: "CH000",
        1: "CH001",
        2: "CH002",
    }


def test_one_missing_channel_is_still_a_list(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    ids = settle_channels(connected(api), package.id, {7: channel_metadata(7)})
    assert isinstance(api.calls[-1].json, list)
    assert list(ids.values()) == list(package.channels)


def test_what_is_there_is_used_and_widened(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    fine = api.platform.add_channel(
        package, name="ch000", rate=30000, start=0, end=2**60, group=None
    )
    short = api.platform.add_channel(
        package, name="CH001", rate=29990.0, start=2**60, end=5, group="shank1"
    )
    other = api.platform.add_channel(package, name="CH002", rate=0)
    ids = settle_channels(connected(api), package.id, THREE)
    assert (ids[0], ids[1]) == (fine["id"], short["id"])
    assert ids[2] != other["id"]
    assert api.routes[-3:] == ["channels", "update-channel", "create-channels"]
    assert [body["name"] for body in api.calls[-1].json] == ["CH002"]
    widened = package.channels[short["id"]]["content"]
    assert (widened["start"], widened["end"]) == (THREE[1]["start"], THREE[1]["end"])
    assert widened["rate"] == 29990.0


def test_channels_with_null_fields_are_tolerated(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    nulls = dict.fromkeys(("name", "start", "end", "unit", "rate", "channelType", "group"))
    api.platform.add_channel(package, **nulls)
    api.platform.add_channel(package, name="CH000", rate=30000.0, start=None, end=None, unit=None)
    settle_channels(connected(api), package.id, THREE)
    assert len(package.channels) == 4


def test_a_second_run_creates_and_changes_nothing(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    # The same name in two groups, and two rates in one.
    ours = {
        0: channel_metadata(0),
        1: channel_metadata(0, group="shank2"),
        2: channel_metadata(0, rate=30100.0),
    }
    client = connected(api)
    first = settle_channels(client, package.id, ours)
    before = len(api.calls)
    assert settle_channels(client, package.id, ours) == first
    assert len(set(first.values())) == 3
    assert api.routes[before:] == ["channels"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "after": True},
        {"status": 503},
        {"drop": True},
        {"drop": True, "after": True},
        {"status": 429},
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_an_unclear_end_never_doubles_channels(
    api: PennsieveApi, connected: Connect, fault: dict[str, Any], times: int
) -> None:
    package = api.platform.add_package()
    api.faults.add(Fault(route="create-channels", times=times, **fault))
    ids = settle_channels(connected(api), package.id, THREE)
    assert sorted(ids.values()) == sorted(package.channels)
    assert names(api, package.id) == ["CH000", "CH001", "CH002"]
    if fault.get("after"):
        assert api.routes.count("create-channels") == 1
        assert api.routes[-1] == "channels"


def test_a_creation_that_never_succeeds_ends(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    api.faults.add(Fault(route="create-channels", status=500, times=None))
    with pytest.raises(Unreachable, match="answered 500"):
        settle_channels(connected(api), package.id, THREE)
    assert api.routes.count("create-channels") == QUICK.attempts


def test_a_package_of_another_type_takes_no_channels(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package("PDF")
    with pytest.raises(Rejected, match=r"answered 400.*cannot hold channels"):
        settle_channels(connected(api), package.id, THREE)


def test_other_channels_than_asked_for_are_refused(
    api: PennsieveApi, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = api.platform.add_package()
    strange = [{"content": {"id": "N:channel:1", "name": "other"}, "properties": []}]
    monkeypatch.setattr(api.platform, "create_channels", lambda *_: strange)
    with pytest.raises(Rejected, match="asked for 3 channels, 0 came back"):
        settle_channels(connected(api), package.id, THREE)
