"""Changes of a hub with OpenVPN: revocations, protocol switches, and listeners that die and are restarted."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.devices import Device, OpenVPNDevice, make_keys, wg
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.wire.digests import digest
from vpn.wire.errors import AgentError
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


def listener_process(lab: Lab, hub: Hub, listener: str) -> int:
    """Return the id of a listener's openvpn."""
    return int((lab.state / hub.hub / "openvpn" / "run" / f"{listener}.pid").read_text())


def is_gone(process: int) -> bool:
    """Return whether a process has ended, even if its parent has not collected it yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def listens(lab: Lab, hub: Hub, listener: str) -> bool:
    """Return whether a listener runs that has written its process id down."""
    try:
        return not is_gone(listener_process(lab, hub, listener))
    except (FileNotFoundError, ValueError):
        return False


def is_refused_and_silent(lab: Lab, hub: Hub, node: Node, within: float = 2.0) -> None:
    """Check that a client's traffic ends and that it does not come back."""
    wait_until(lambda: not lab.ping(node, hub.v4, timeout=0.2), within, "the end of the session")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert not lab.ping(node, hub.v4, timeout=0.4)
        assert hub.status().sessions == {}


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("way", ["delta", "revoking delta", "spec", "certificate", "certificate by delta"])
def test_whoever_is_shut_out_is_silent_within_two_seconds(lab: Lab, hub: Hub, protocol: str, way: str) -> None:
    alice = lab.add_client("alice")
    device = hub.connect_openvpn(alice, transport=protocol)
    assert hub.authority is not None
    ping = lab.start_ping(alice, hub.v4, 0.02)
    ping.wait_for_replies()
    if way == "delta":
        assert hub.send(hub.delta(remove=[device])).changed == {**NOTHING, "openvpn": True, "routing": True}
    elif way == "revoking delta":
        delta = hub.delta(remove=[device], revoked=device.credential)
        assert hub.send(delta).changed == {**NOTHING, "openvpn": True, "routing": True}
    elif way == "certificate by delta":
        assert hub.send(hub.delta(revoked=device.credential)).changed == {**NOTHING, "openvpn": True}
    elif way == "spec":
        hub.authority.revoke(device.credential)
        del hub.devices[device.peer_id]
        assert hub.apply_next().changed == {**NOTHING, "openvpn": True, "routing": True}
    else:
        # The peer stays, with another certificate: the one that was lost opens nothing any more.
        hub.authority.revoke(device.credential)
        assert hub.apply_next().changed == {**NOTHING, "openvpn": True}
    applied = time.time()
    is_refused_and_silent(lab, hub, alice)
    ping.stop()
    assert max(at for at, _ in ping.replies()) - applied < 2
    assert hub.apply().changed == NOTHING
    if way.startswith("certificate"):
        lab.openvpn_down(alice)
        new = dataclasses.replace(device, credential=hub.authority.issue(device.peer_id))
        lab.openvpn_up(alice, hub.openvpn_profile(new), transport=protocol)
        lab.wait_ping(alice, hub.v4)


@pytest.mark.parametrize("whole", [True, False])
def test_a_revocation_leaves_all_others_alone(lab: Lab, hub: Hub, *, whole: bool) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect_openvpn(alice)
    device = hub.connect_openvpn(bob)
    ping = lab.start_ping(alice, hub.v4, 0.02)
    ping.wait_for_replies()
    assert hub.authority is not None
    if whole:
        hub.authority.revoke(device.credential)
        del hub.devices[device.peer_id]
        hub.apply_next()
    else:
        hub.send(hub.delta(remove=[device], revoked=device.credential))
    time.sleep(1)
    ping.wait_for_replies()
    assert ping.stop().lost == 0


def test_a_peer_changes_its_protocol_under_ping_and_keeps_its_address(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    hub.add_openvpn()
    site = hub.connect_site(berlin)
    hub.connect(alice)
    lab.wait_ping(alice, berlin.lan.v4)
    ping = lab.start_ping(alice, berlin.lan.v4, 0.05)
    ping.wait_for_replies()

    openvpn = dataclasses.replace(hub.add_openvpn(site.subnets), v4=site.v4, v6=site.v6)
    del hub.devices[openvpn.peer_id]
    assert hub.authority is not None
    openvpn = dataclasses.replace(openvpn, peer_id=site.peer_id, credential=hub.authority.issue(site.peer_id))
    report = hub.send(hub.delta(upsert=[openvpn]))
    assert report.changed == {**NOTHING, "wireguard": True, "openvpn": True, "routing": True}
    assert not lab.ping(alice, berlin.lan.v4, timeout=0.3), "the old session is over"
    lab.wg_quick_down(berlin.router)
    lab.openvpn_up(berlin.router, hub.openvpn_profile(openvpn))
    changed = time.time()
    wait_until(lambda: any(at > changed for at, _ in ping.replies()), 3, "an answer over OpenVPN")
    for address in (site.v4, site.v6, berlin.lan.v6):
        lab.wait_ping(alice, address, 3)
    assert hub.apply().changed == NOTHING

    # And back, with new keys, while the old client holds on.
    private_key, public_key = make_keys()
    back = dataclasses.replace(site, private_key=private_key, public_key=public_key, preshared_key=wg("genpsk"))
    report = hub.send(hub.delta(upsert=[back]))
    assert report.changed == {**NOTHING, "wireguard": True, "openvpn": True, "routing": True}
    wait_until(lambda: not lab.ping(alice, berlin.lan.v4, timeout=0.2), 2, "the end of the old session")
    lab.openvpn_down(berlin.router)
    lab.wg_quick_up(berlin.router, hub.profile(back))
    lab.wait_ping(berlin.router, hub.v4)
    changed = time.time()
    wait_until(lambda: any(at > changed for at, _ in ping.replies()), 3, "an answer over WireGuard")
    ping.stop()
    assert hub.apply().changed == NOTHING


def test_a_site_has_other_subnets_without_a_new_profile(lab: Lab, hub: Hub) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    site = hub.connect_openvpn(berlin.router, subnets=(berlin.lan_v6,))
    client = hub.connect_openvpn(alice)
    assert lab.ping(alice, berlin.lan.v6)
    more = dataclasses.replace(site, subnets=(berlin.lan_v4, berlin.lan_v6))
    hub.send(hub.delta(upsert=[more]))
    lab.openvpn_down(alice)
    lab.openvpn_up(alice, hub.openvpn_profile(client))
    lab.wait_ping(alice, berlin.lan.v4, 8)
    lab.wait_ping(alice, berlin.lan.v6, 8)
    less = dataclasses.replace(site, subnets=(berlin.lan_v4,))
    hub.send(hub.delta(upsert=[less]))
    lab.wait_ping(alice, berlin.lan.v4, 8)
    assert not lab.ping(alice, berlin.lan.v6, timeout=0.4)
    assert hub.apply().changed == NOTHING


@pytest.mark.parametrize(
    ("listener", "kind", "limit"), [("udp", "site", 8.0), ("tcp", "site", 2.0), ("tcp", "device", 2.0)]
)
def test_a_killed_listener_comes_back_with_its_clients(
    lab: Lab, hub: Hub, listener: str, kind: str, limit: float
) -> None:
    berlin, bob = lab.add_site("berlin"), lab.add_client("bob")
    subnets = (berlin.lan_v4, berlin.lan_v6) if kind == "site" else ()
    hub.connect_openvpn(berlin.router, subnets=subnets, transport=listener)
    hub.connect_openvpn(bob, transport="tcp" if listener == "udp" else "udp")
    with Watch(hub.agent):
        ping, other = lab.start_ping(berlin.router, hub.v4, 0.05), lab.start_ping(bob, hub.v4, 0.05)
        ping.wait_for_replies()
        other.wait_for_replies()
        old = listener_process(lab, hub, listener)
        os.kill(old, signal.SIGKILL)
        killed = time.time()
        wait_until(lambda: any(at > killed + 0.3 for at, _ in ping.replies()), limit + 4, "traffic after the kill")
        took = ping.stop().longest_gap
        print(f"{listener}: {took:.1f} s")
        assert took < limit
        assert other.stop().lost == 0
        assert listener_process(lab, hub, listener) != old
        assert hub.status().alive
    assert hub.apply().changed == NOTHING


def test_all_is_restored_after_a_reboot(lab: Lab, hub: Hub) -> None:
    bonn, berlin = lab.add_site("bonn"), lab.add_site("berlin")
    alice = bonn.router
    hub.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6))
    hub.connect_openvpn(alice, subnets=(bonn.lan_v4, bonn.lan_v6))
    extra = hub.add_openvpn()
    del hub.devices[extra.peer_id]
    hub.send(hub.delta(upsert=[extra]))
    hub.agent.close()
    lab.reboot_host()
    assert lab.hubs() == set()
    for node in (alice, berlin.router):
        lab.wait_ping(lab.host, node.v4)  # neighbours learn the host's new link address
    with Watch(hub.agent):
        lab.wait_ping(alice, berlin.lan.v4, 20)
        lab.wait_ping(alice, berlin.lan.v6)
    assert hub.apply().changed == NOTHING


def test_interfaces_that_a_crash_left_on_the_host_are_replaced(lab: Lab, hub: Hub) -> None:
    hub.add_openvpn()
    left = {f"ou-{hub.hub}": ["tuntap", "add", "mode", "tun"], f"vh-{hub.hub}": ["link", "add", "type", "veth"]}
    for device, (kind, add, *rest) in left.items():
        lab.run(lab.host, ["ip", kind, add, "dev", device, *rest])
    assert hub.apply().alive
    assert hub.apply().changed == NOTHING
    assert f"ou-{hub.hub}" not in lab.run(lab.host, ["ip", "-br", "link"]).stdout


@pytest.mark.parametrize(
    "damage",
    [
        "ip link delete {ou}",
        "ip address flush dev {ou}",
        "ip link set {ot} down",
        "ip link set {ot} mtu 1300",
        "ip route delete {v4} dev {ou}",
        "ip route add 10.66.0.0/24 dev {ou} proto 201",
        "rm {files}/ccd/{id}",
        "touch {files}/ccd/stranger",
        "rm -r {files}/ccd",
        "rm {files}/crl.pem",
    ],
)
def test_apply_again_repairs(drift: tuple[Lab, Hub, Node, OpenVPNDevice], damage: str) -> None:
    lab, hub, alice, device = drift
    names = {"ou": f"ou-{hub.hub}", "ot": f"ot-{hub.hub}", "v4": device.v4, "id": device.peer_id}
    lab.run(hub.node, damage.format(files=lab.state / hub.hub / "openvpn", **names).split())
    assert hub.apply().changed["openvpn"]
    assert hub.apply().changed == NOTHING
    lab.wait_ping(alice, hub.v4)


@pytest.fixture(scope="module")
def drift(world: tuple[Lab, Hub]) -> tuple[Lab, Hub, Node, OpenVPNDevice]:
    lab, hub = world
    # A router, which notices within seconds that its listener was started anew without a word.
    alice = lab.add_site("alice")
    return lab, hub, alice.router, hub.connect_openvpn(alice.router, subnets=(alice.lan_v4, alice.lan_v6))


def test_a_peer_more_is_a_small_change_for_others_unnoticed(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect_openvpn(alice)
    ping = lab.start_ping(alice, hub.v4, 0.02)
    ping.wait_for_replies()
    device = hub.add_openvpn()
    del hub.devices[device.peer_id]
    report = hub.send(hub.delta(upsert=[device]))
    assert report.changed == {**NOTHING, "openvpn": True, "routing": True}
    assert report.digest == digest(hub.document)
    lab.openvpn_up(bob, hub.openvpn_profile(device))
    lab.wait_ping(bob, hub.v4)
    ping.wait_for_replies()
    assert ping.stop().lost == 0


def test_a_renewed_server_certificate_brings_clients_back(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect_openvpn(alice)
    hub.connect_openvpn(bob, transport="tcp")
    assert hub.authority is not None
    old = listener_process(lab, hub, "udp")
    hub.authority.renew()
    assert hub.apply_next().changed == {**NOTHING, "openvpn": True}
    assert listener_process(lab, hub, "udp") != old
    for node in (alice, bob):
        print(f"{node.name} is back after {lab.wait_ping(node, hub.v4, 8):.1f} s")


def test_a_taken_port_is_named_and_leaves_what_there_is(lab: Lab, hub: Hub) -> None:
    hub.add(["10.9.0.0/24"])
    hub.apply()
    server = lab.serve_http(lab.host, "0.0.0.0", 20001)  # noqa: S104
    hub.add_openvpn()
    with pytest.raises(AgentError, match=r"port-taken \(20001/tcp\)") as refusal:
        hub.apply_next()
    assert refusal.value.code == "port-taken"
    assert lab.run(hub.node, ["ip", "route", "show", "10.9.0.0/24"]).stdout, "WireGuard works"
    server.kill()
    server.wait(5)
    assert hub.apply().changed["openvpn"]
    assert hub.apply().changed == NOTHING


def test_a_port_that_is_lost_in_a_crash_leaves_the_other_listener(lab: Lab, hub: Hub) -> None:
    hub.add_openvpn()
    hub.apply()
    old = {listener: listener_process(lab, hub, listener) for listener in ("udp", "tcp")}
    for process in old.values():
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: all(map(is_gone, old.values())), 5, "their end")
    server = lab.serve_http(lab.host, "0.0.0.0", 20001)  # noqa: S104
    with Watch(hub.agent):
        wait_until(lambda: listens(lab, hub, "udp"), 15, "the other listener")
        server.kill()
        server.wait(5)
        wait_until(lambda: hub.status().alive, 20, "the listener whose port is free again")


def test_a_delta_for_a_listener_that_is_not_there_needs_the_whole_spec(hub: Hub) -> None:
    hub.add_openvpn()
    hub.apply()
    device = hub.add_openvpn(compat=True)
    del hub.devices[device.peer_id]
    with pytest.raises(AgentError, match="base-mismatch"):
        hub.send(hub.delta(upsert=[device]))
    hub.devices[device.peer_id] = device
    assert hub.apply_next().changed["openvpn"]


def test_nothing_is_left_of_openvpn(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    device = hub.connect_openvpn(alice)
    process = listener_process(lab, hub, "udp")
    hub.authority = None
    del hub.devices[device.peer_id]
    assert hub.apply_next().changed["openvpn"]
    assert is_gone(process)
    assert not (lab.state / hub.hub / "openvpn").exists()
    hub.add_openvpn()
    hub.apply_next()
    process = listener_process(lab, hub, "tcp")
    assert hub.destroy().changed["openvpn"]
    assert is_gone(process)
    assert lab.hubs() == set()


def test_listeners_outlive_the_agent(lab: Lab, hub: Hub) -> None:
    hub.add_openvpn()
    hub.apply()
    processes = [listener_process(lab, hub, listener) for listener in ("udp", "tcp")]
    for process in processes:
        names = {os.readlink(entry) for entry in Path(f"/proc/{process}/fd").iterdir()}
        assert not any(name.endswith("host.lock") for name in names)
    hub.agent.kill_group()
    assert hub.status().alive
    assert [listener_process(lab, hub, listener) for listener in ("udp", "tcp")] == processes
    assert isinstance(hub.add(), Device)
