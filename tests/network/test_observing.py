"""One request for all hubs of a server: whole reports first, then what has changed since."""

from __future__ import annotations

from collections.abc import Iterable

from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from vpn.wire.observing import Observing, parse_observed
from vpn.wire.report import HubReport


def observe(agent: Agent, known: dict[str, str]) -> dict[str, HubReport]:
    answer = agent.ask(**Observing(known, 10).document())
    observed = parse_observed(answer["observed"], known)
    return {hub: report for hub, report in observed.items() if isinstance(report, HubReport)}


def stamps(reports: Iterable[HubReport]) -> dict[str, str]:
    return {report.hub: report.stamp for report in reports}


def test_all_hubs_are_reported_at_once_and_then_what_has_changed(lab: Lab, hub: Hub) -> None:
    other = Hub(lab, hub.agent, port=hub.port + 10)
    laptop = lab.add_client("laptop")
    device = hub.connect(laptop)
    other.apply()
    whole = observe(hub.agent, {hub.hub: "", other.hub: ""})
    assert [report.since for report in whole.values()] == ["", ""]
    before = (whole[hub.hub].peers or {})[device.public_key]
    lab.wait_ping(laptop, hub.v4)
    known = stamps(whole.values())
    short = observe(hub.agent, known)
    assert {report.hub: report.since for report in short.values()} == known
    assert (short[hub.hub].peers or {})[device.public_key].received_bytes > before.received_bytes
    assert (short[other.hub].peers, short[other.hub].sessions) == ({}, {})
