"""A resolver that changes while it is asked all the time, and what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from tests.lab.devices import Device
from tests.lab.dns import Answer, ask, ask_reverse, serve_dns, start_asking
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, Node
from tests.lab.waiting import wait_until
from vpn.agent import dns
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.errors import PORT_TAKEN, AgentError
from vpn.wire.finding import Finding
from vpn.wire.report import COMPONENTS
from vpn.wire.spec import parse_spec

NOTHING = dict.fromkeys(COMPONENTS, False)
DOMAIN = "office.vpn.example.net"
SECOND = 1.0  # within which an addition answers
PATIENCE = 4.0  # seconds until a client asks once more; five is what stub resolvers have


@pytest.fixture
def alice(lab: Lab, hub: Hub) -> Node:
    """A client of a hub that has a resolver."""
    hub.resolver = {
        "domain": DOMAIN,
        "public_addresses": [lab.host.v4],
        "upstreams": [OUTSIDE_V4],
        "domains": [],
        "domain_servers": [],
        "records": [],
    }
    node = lab.add_client("alice")
    hub.connect(node)
    return node


def pid_of(lab: Lab, hub: Hub) -> int:
    return int((lab.state / hub.hub / "dns" / "started").read_text().split()[0])


def with_record(hub: Hub, name: str, kind: str, value: str) -> None:
    assert hub.resolver is not None
    others = [record for record in hub.resolver["records"] if record["name"] != name]
    hub.resolver = {**hub.resolver, "records": [*others, {"name": name, "type": kind, "value": value}]}


def named(hub: Hub, *names: str) -> Device:
    """Return a peer that is to come, with names."""
    device = hub.add()
    del hub.devices[device.peer_id]
    device.names = names
    return device


def wait_for(lab: Lab, node: Node, hub: Hub, name: str, *values: str) -> None:
    expected = Answer("NOERROR", values) if values else Answer("NXDOMAIN", ())
    wait_until(lambda: ask(lab, node, hub.v4, name) == expected, SECOND, f"{values} for {name}")


def test_names_come_and_go_under_questions_that_are_all_answered(lab: Lab, hub: Hub, alice: Node) -> None:
    stays = named(hub, "stays.anna")
    hub.send(hub.delta(upsert=[stays]))
    hub.add_many(600)
    hub.apply_next()
    before = pid_of(lab, hub)
    asking = start_asking(lab, alice, hub.v4, [f"stays.anna.{DOMAIN}", DOMAIN])
    for number in range(5):
        device = named(hub, f"phone{number}.anna")
        assert hub.send(hub.delta(upsert=[device])).changed["dns"]
        wait_for(lab, alice, hub, f"phone{number}.anna.{DOMAIN}", f"A {device.v4}")
        assert ask_reverse(lab, alice, hub.v4, device.v6).values == (f"PTR phone{number}.anna.{DOMAIN}",)
        device = replace(device, names=(f"mobile{number}.anna",))
        hub.send(hub.delta(upsert=[device]))
        wait_for(lab, alice, hub, f"mobile{number}.anna.{DOMAIN}", f"A {device.v4}")
        wait_for(lab, alice, hub, f"phone{number}.anna.{DOMAIN}")
        hub.send(hub.delta(remove=[device]))
        wait_for(lab, alice, hub, f"mobile{number}.anna.{DOMAIN}")
        assert ask_reverse(lab, alice, hub.v4, device.v4).status == "NXDOMAIN"
    for value in ("10.3.3.3", "10.3.3.4"):
        with_record(hub, "wiki.corp", "A", value)
        hub.apply_next()
        wait_for(lab, alice, hub, "wiki.corp", f"A {value}")
    asked = asking.stop()
    assert asked.asked > 50
    assert (asked.retries, asked.unanswered) == (0, 0)
    assert pid_of(lab, hub) == before, "it was never started anew"
    assert hub.apply().changed == NOTHING


def test_other_servers_are_asked_without_a_name_of_its_own_lost(lab: Lab, hub: Hub, alice: Node) -> None:
    assert hub.resolver is not None
    lab.add_address(lab.outside, "198.51.100.11/24", "eth0")
    first = serve_dns(lab, lab.outside, {"www.example.com": "93.184.215.14"}, [OUTSIDE_V4])
    second = serve_dns(lab, lab.outside, {"www.example.com": "93.184.215.14"}, ["198.51.100.11"])
    before = pid_of(lab, hub)
    asking = start_asking(lab, alice, hub.v4, [DOMAIN])
    asking_others = start_asking(lab, alice, hub.v4, ["www.example.com"], PATIENCE)
    wait_until(first.asked, 5, "a question to the first server")
    for server in ("198.51.100.11", OUTSIDE_V4) * 3:
        hub.resolver = {**hub.resolver, "upstreams": [server]}
        assert hub.apply_next().changed == {**NOTHING, "dns": True, "firewall": True}
    hub.resolver = {**hub.resolver, "upstreams": ["198.51.100.11"]}
    hub.apply_next()
    wait_until(second.asked, 5, "a question to the second server")
    asked, asked_others = asking.stop(), asking_others.stop()
    assert (asked.retries, asked.unanswered) == (0, 0)
    # What was on its way to a server that is asked no more may have to be asked again. Nothing is refused.
    assert (asked_others.most_retries <= 1, asked_others.unanswered) == (True, 0)
    assert asked.asked > 50
    assert pid_of(lab, hub) == before


def test_an_alias_costs_one_retry_at_most(lab: Lab, hub: Hub, alice: Node) -> None:
    with_record(hub, "wiki.corp", "A", "10.3.3.3")
    hub.apply_next()
    asking = start_asking(lab, alice, hub.v4, [DOMAIN, "wiki.corp"], PATIENCE)
    for number in range(5):
        with_record(hub, f"docs{number}.corp", "CNAME", "wiki.corp")
        hub.apply_next()
        found = ask(lab, alice, hub.v4, f"docs{number}.corp")
        assert found.values == ("A 10.3.3.3", "CNAME wiki.corp")
    asked = asking.stop()
    assert asked.unanswered == 0
    assert asked.most_retries <= 1
    assert asked.retries <= 5
    assert resolvers(lab, hub) == {pid_of(lab, hub)}


def test_it_comes_and_goes_with_the_setting(lab: Lab, hub: Hub, alice: Node) -> None:
    directory = lab.state / hub.hub / "dns"
    wanted, hub.resolver = hub.resolver, None
    assert hub.apply_next().changed == {**NOTHING, "dns": True, "firewall": True}
    assert not directory.exists()
    assert resolvers(lab, hub) == set()
    assert hub.status().alive
    hub.resolver = wanted
    hub.apply_next()
    assert ask(lab, alice, hub.v4, DOMAIN).status == "NOERROR"
    assert hub.destroy().changed["dns"]
    assert resolvers(lab, hub) == set()


def test_a_killed_resolver_is_healed(lab: Lab, hub: Hub, alice: Node) -> None:
    with Watch(hub.agent):
        os.kill(pid_of(lab, hub), signal.SIGKILL)
        seconds = wait_until(lambda: ask(lab, alice, hub.v4, DOMAIN).values, 3, "an answer after the kill")
        assert seconds < 3
        assert hub.status().alive
    os.kill(pid_of(lab, hub), signal.SIGKILL)
    wait_until(lambda: not hub.status().alive, 3, "the report of the end")
    # A small change finds out, too.
    device = named(hub, "phone.anna")
    hub.send(hub.delta(upsert=[device]))
    assert ask(lab, alice, hub.v4, f"phone.anna.{DOMAIN}").values == (f"A {device.v4}",)
    assert hub.apply().changed == NOTHING


def test_it_is_there_again_after_a_reboot_and_with_a_lost_namespace(lab: Lab, hub: Hub, alice: Node) -> None:
    device = named(hub, "phone.anna")
    hub.send(hub.delta(upsert=[device]))
    lost = pid_of(lab, hub)
    with Watch(hub.agent):
        subprocess.run(["ip", "netns", "delete", f"hub-{hub.hub}"], check=True)
        wait_until(lambda: resolvers(lab, hub) not in ({lost}, set()), 5, "another resolver")
        wait_until(lambda: ask(lab, alice, hub.v4, f"phone.anna.{DOMAIN}").values, 20, "an answer after the loss")
        # The watch writes down where peers are every other second: so the hub can call them back.
        wait_until(lambda: State(lab.state).endpoints(hub.hub), 20, "the peers' endpoints")
    assert resolvers(lab, hub) == {pid_of(lab, hub)}
    hub.agent.close()
    lab.reboot_host()
    assert resolvers(lab, hub) == set()
    with Watch(hub.agent):
        wait_until(lambda: ask(lab, alice, hub.v4, f"phone.anna.{DOMAIN}").values, 20, "an answer after the reboot")
    assert hub.apply().changed["dns"] is False


def test_a_taken_port_is_said_and_traffic_goes_on(lab: Lab, hub: Hub, alice: Node) -> None:
    os.kill(pid_of(lab, hub), signal.SIGKILL)
    wait_until(lambda: not hub.status().alive, 3, "the end")
    # Its sockets outlive its name by a moment.
    wait_until(lambda: ":53 " not in lab.run(hub.node, ["ss", "-Hlntu"]).stdout, 60, "the end of its sockets")
    other = lab.start(
        hub.node, ["dnsmasq", "-k", "--conf-file=/dev/null", "--bind-interfaces", "--pid-file=", "-u", "root"]
    )
    # Its sockets over UDP, which come first, would let another one have the port, too.
    wait_until(
        lambda: all(
            f"{address}:53 " in lab.run(hub.node, ["ss", "-Hlnt"]).stdout for address in (hub.v4, f"[{hub.v6}]")
        ),
        60,
        "another program on the port",
    )
    extra = hub.add()
    with pytest.raises(AgentError) as refusal:
        hub.apply_next()
    assert refusal.value.code == PORT_TAKEN
    assert refusal.value.finding == codes.DNS_PORT_TAKEN.of(f"hub-{hub.hub}")
    assert lab.ping(alice, hub.v4)
    assert extra.public_key in lab.run(lab.host, ["wg", "show", hub.interface, "peers"]).stdout
    other.kill()
    other.wait(5)
    hub.apply()
    assert ask(lab, alice, hub.v4, DOMAIN).status == "NOERROR"


def test_what_others_change_is_found_and_put_right(lab: Lab, hub: Hub, alice: Node) -> None:
    device = named(hub, "phone.anna")
    hub.send(hub.delta(upsert=[device]))
    directory = lab.state / hub.hub / "dns"
    names = Host(Netns(lab.host.netns), State(lab.state)).names(hub.hub)

    def drift() -> list[Finding]:
        return dns.drift(names, parse_spec(hub.document), directory)

    assert drift() == []
    (directory / "hosts" / "evil").write_text(f"10.6.6.6 bank.example.com phone.anna.{DOMAIN}\n")
    known = next(path for path in (directory / "hosts").iterdir() if device.v4 in path.read_text())
    known.write_text(known.read_text() + "10.6.6.7 shop.example.com\n")
    (directory / "servers").write_text("server=10.6.6.8\n")
    (directory / "dnsmasq.conf").write_text((directory / "dnsmasq.conf").read_text() + "address=/#/10.6.6.9\n")
    wait_for(lab, alice, hub, "bank.example.com", "A 10.6.6.6")
    found = drift()
    assert codes.DNS_FILE_ADDED.of("evil") in found
    assert codes.DNS_NAME_ADDED.of("10.6.6.7=shop.example.com") in found
    assert len(found) == 4
    assert hub.apply().changed == {**NOTHING, "dns": True}
    assert drift() == []
    wait_until(lambda: not ask(lab, alice, hub.v4, "bank.example.com").values, SECOND, "the end of a foreign name")
    wait_for(lab, alice, hub, f"phone.anna.{DOMAIN}", f"A {device.v4}")
    assert hub.apply().changed == NOTHING


def resolvers(lab: Lab, hub: Hub) -> set[int]:
    """Return the processes that run with the configuration of the hub's resolver."""
    found = subprocess.run(["pgrep", "-f", f"{lab.state}/{hub.hub}/dns/"], capture_output=True, text=True, check=False)
    return set(map(int, found.stdout.split()))
