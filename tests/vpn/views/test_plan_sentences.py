"""Differences of reach in as few sentences as say them."""

from __future__ import annotations

from typing import Any

from vpn.views.plan_sentences import joined, sentences


def line(source: str, destination: str, protocol: str = "any", port: str = "", *, after: bool = True) -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "protocol": protocol,
        "port": port,
        "before": not after,
        "after": after,
    }


def said(*lines: dict[str, Any], opens: bool = True) -> list[str]:
    return sentences(lines, lambda end: "the internet" if end == "any" else end.title(), opens=opens)


def test_one_line_is_one_sentence() -> None:
    assert said(line("anna", "berlin", "tcp", "443")) == ["Anna reaches Berlin on TCP 443"]
    assert said(line("anna", "berlin", "udp", "1000-2000")) == ["Anna reaches Berlin on UDP 1000 to 2000"]
    assert said(line("anna", "berlin", "any", "53")) == ["Anna reaches Berlin on port 53, TCP and UDP"]
    assert said(line("anna", "berlin", "icmp")) == ["Anna reaches Berlin by ICMP, such as ping"]
    assert said(line("anna", "any", after=False), opens=False) == ["Anna no longer reaches the internet"]


def test_those_who_reach_the_same_share_a_sentence() -> None:
    lines = [line(source, end) for source in ("anna", "ben") for end in ("berlin", "any")]
    assert said(*lines) == ["Anna and Ben reach Berlin and the internet"]


def test_a_circle_is_said_once() -> None:
    ends = ("anna", "ben", "berlin")
    lines = [line(one, other, after=False) for one in ends for other in ends if one != other]
    assert said(*lines, opens=False) == ["Anna, Ben and Berlin no longer reach each other"]
    assert said(*lines, line("anna", "any", after=False), opens=False)[1:] == ["Anna no longer reaches the internet"]


def test_long_lists_are_cut_short() -> None:
    assert joined(["a", "b", "c", "d"]) == "a, b, c and d"
    assert joined(["a", "b", "c", "d", "e"]) == "a, b, c and 2 others"
