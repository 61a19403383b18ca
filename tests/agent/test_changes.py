"""A short report: only what differs from the last one, if the portal has recorded that one."""

from __future__ import annotations

from dataclasses import replace

from tests.agent import made
from vpn.agent.lifecycle.changes import LastReport, shorten
from vpn.wire.report import HubReport, PeerReport, SessionReport

WHOLE = HubReport(
    made.HUB,
    1,
    7,
    "",
    alive=True,
    observed_at=0.0,
    peers={made.key(name): PeerReport("203.0.113.5:1234", 1_700_000_000, 5, 6) for name in "ab"},
    sessions={made.peer_id(each): SessionReport(None, 1_700_000_000, 5, 6, "udp") for each in (1, 2, 3)},
)


def test_the_first_report_is_whole() -> None:
    first = shorten(WHOLE, {}, "0" * 16)
    assert first == replace(WHOLE, stamp=first.stamp)


def test_the_next_one_has_what_differs_and_which_sessions_have_ended() -> None:
    last: dict[str, LastReport] = {}
    first = shorten(WHOLE, last, "")
    moved, other = PeerReport("203.0.113.5:1234", 1_700_000_000, 50, 6), made.key("c")
    session = SessionReport(None, 1_700_000_000, 5, 6, "udp", push_outdated=True)
    now = replace(
        WHOLE,
        peers={made.key("a"): moved, made.key("b"): (WHOLE.peers or {})[made.key("b")], other: moved},
        sessions={made.peer_id(1): (WHOLE.sessions or {})[made.peer_id(1)], made.peer_id(2): session},
    )
    second = shorten(now, last, first.stamp)
    assert second.since == first.stamp
    assert second.peers == {made.key("a"): moved, other: moved}
    assert second.sessions == {made.peer_id(2): session}
    assert second.ended == [made.peer_id(3)]
    third = shorten(now, last, second.stamp)
    assert (third.peers, third.sessions, third.ended) == ({}, {}, [])


def test_it_is_whole_where_the_last_one_was_not_recorded() -> None:
    last: dict[str, LastReport] = {}
    first = shorten(WHOLE, last, "")
    shorten(WHOLE, last, first.stamp)
    third = shorten(WHOLE, last, first.stamp)
    assert third == replace(WHOLE, stamp=third.stamp)


def test_it_is_whole_where_the_hub_runs_another_spec() -> None:
    last: dict[str, LastReport] = {}
    first = shorten(WHOLE, last, "")
    second = shorten(replace(WHOLE, generation=8), last, first.stamp)
    assert (second.since, second.peers) == ("", WHOLE.peers)
