"""The kernel announces changes of a namespace's addresses and tables; what traffic adds to sets is not announced."""

from __future__ import annotations

from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.system.command import Netns
from vpn.agent.system.kernel_events import KernelEvents

_TABLE = """
add table inet watched
add chain inet watched input { type filter hook input priority 0; }
add set inet watched seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
add rule inet watched input update @seen { ip saddr }
"""


def wait_for_silence(events: KernelEvents) -> None:
    """The kernel announces an IPv6 address once more when it can be used."""
    wait_until(lambda: not events.may_have_changed(), 60, "the end of the announcements")


def test_each_change_is_noticed_once_and_traffic_is_none(lab: Lab) -> None:
    node = lab.add_client("alice")
    events = KernelEvents(Netns(node.netns))
    assert events.may_have_changed(), "nothing is known of the time before"
    wait_for_silence(events)
    for command in (
        ["ip", "address", "add", "192.0.2.77/32", "dev", "lo"],
        ["ip", "address", "delete", "192.0.2.77/32", "dev", "lo"],
        ["ip", "-6", "address", "add", "2001:db8::77/128", "dev", "lo", "nodad"],
        ["nft", "-f", "-"],
        ["nft", "add", "element", "inet", "watched", "seen", "{ 192.0.2.1 }"],
        ["nft", "flush", "set", "inet", "watched", "seen"],
    ):
        lab.run(node, command, stdin=_TABLE)
        assert events.may_have_changed(), command
        wait_for_silence(events)
    lab.run(node, ["ping", "-c", "1", "-w", "5", "127.0.0.1"])
    assert "127.0.0.1" in lab.run(node, ["nft", "list", "set", "inet", "watched", "seen"]).stdout
    assert not events.may_have_changed()
    lab.run(node, ["nft", "delete", "table", "inet", "watched"])
    assert events.may_have_changed()
    events.close()


def test_more_announcements_than_fit_are_a_change(lab: Lab) -> None:
    node = lab.add_client("alice")
    events = KernelEvents(Netns(node.netns))
    assert events.may_have_changed()
    many = "".join(f"address add 10.7.{number // 250}.{1 + number % 250}/32 dev lo\n" for number in range(4000))
    lab.run(node, ["ip", "-batch", "-"], stdin=many)
    assert events.may_have_changed()
    wait_for_silence(events)
    events.close()
