"""What servers say to each other at a handover, over the portal: checked on both sides."""

from __future__ import annotations

from typing import Any

import pytest

from vpn.agent.firewall import flows
from vpn.agent.network.forwarding import Forwarded, with_ports
from vpn.agent.system.command import Netns, Result
from vpn.wire.errors import AgentError
from vpn.wire.forwarding import Forwarding, Handover, parse_forwarding, parse_handover, ports_of
from vpn.wire.report_values import ReportInvalidError

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
FORWARDING = Forwarding("abcdefghij", 3, 7, ("192.0.2.1", "2001:db8::1"), ("198.51.100.1",), ports_of(20000, 20002))
HANDOVER = Handover(
    {KEY: "192.0.2.1:10000"},
    ("5d3b0a3e-5c67-4b0e-8d8c-7c1d5f0f9a11",),
    (("100.64.0.3", "10.1.0.9", 5000, 443), ("fd00::3", "fd00::4", 1, 2)),
    0.2,
    1.4,
)


def test_both_survive_their_documents() -> None:
    assert parse_forwarding(FORWARDING.document()) == FORWARDING
    assert parse_handover(HANDOVER.document()) == HANDOVER


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["198.51.100.1", "198.51.100.2"]},
        {"to": ["198.51.100.1; drop"]},
        {"ports": [["icmp", 1, 1]]},
        {"ports": [["udp", 0, 1]]},
        {"ports": []},
        {"hub": "../etc"},
        {"schema": 2},
    ],
)
def test_a_server_forwards_nothing_that_is_malformed(wrong: dict[str, Any]) -> None:
    with pytest.raises(AgentError):
        parse_forwarding(FORWARDING.document() | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoints": {KEY: "192.0.2.1"}},
        {"endpoints": {KEY: "192.0.2.999:1"}},
        {"endpoints": {"a key": "192.0.2.1:1"}},
        {"flows": [["100.64.0.3", "fd00::4", 1, 2]]},
        {"flows": [["100.64.0.3 -j", "100.64.0.4", 1, 2]]},
        {"flows": [["100.64.0.3", "100.64.0.4", 1, 70000]]},
        {"sessions": ["../../etc"]},
        {"seconds": "soon"},
    ],
)
def test_a_handover_is_not_trusted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ReportInvalidError):
        parse_handover(HANDOVER.document() | wrong)


def test_each_client_has_a_port_of_its_own() -> None:
    clients = with_ports({"a": "192.0.2.9:5", "b": "[2001:db8::9]:6"}, taken={10000})
    assert clients == {"a": ("192.0.2.9:5", 10001), "b": ("[2001:db8::9]:6", 10002)}
    assert Forwarded(FORWARDING, clients).endpoints() == {"a": "192.0.2.1:10001", "b": "[2001:db8::1]:10002"}


def test_only_connections_between_peers_are_taken_along(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = """\
tcp      6 7439 ESTABLISHED src=100.64.0.3 dst=10.1.0.9 sport=5000 dport=443 src=10.1.0.9 dst=100.64.0.3 sport=443 dport=5000 [ASSURED] mark=7 use=1
tcp      6 7439 ESTABLISHED src=100.64.0.3 dst=192.0.2.80 sport=5001 dport=443 src=192.0.2.80 dst=198.18.0.1 sport=443 dport=5001 [ASSURED] mark=7 use=1
tcp      6 30 SYN_SENT src=100.64.0.3 dst=10.1.0.9 sport=5002 dport=443 [UNREPLIED] src=10.1.0.9 dst=100.64.0.3 sport=443 dport=5002 mark=0 use=1
"""  # noqa: E501 - as conntrack prints it
    monkeypatch.setattr(Netns, "try_run", lambda self, argv, stdin="": Result(0, listed if "ipv4" in argv else "", ""))
    assert flows.established(Netns("hub-abcdefghij")) == [("100.64.0.3", "10.1.0.9", 5000, 443)]
