"""The needs in words: what is so, what it means, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import datetime

from vpn.choices import Listener, ProofCause
from vpn.constants import FIRST_PORT, LAST_PORT
from vpn.models import Instance, ListenerProof
from vpn.needs.drift import Recurring
from vpn.needs.facts import SilentSite
from vpn.needs.need import Code, Need

ALL_PORTS = f"{FIRST_PORT}-{LAST_PORT}, UDP and TCP"
_MOST_NAMED = 3


def lost(instance: Instance) -> Need:
    """The server of the hub is gone."""
    return Need(
        Code.LOST,
        "The hub's server no longer answers",
        instance.failure or "Nothing goes through this hub.",
        "Whoever operates the portal can look at the server; the hub comes back with it, and no profile has to be "
        "issued again.",
        chip="Lost",
    )


def provisioning_failed(instance: Instance) -> Need:
    """The hub could not be created."""
    return Need(
        Code.PROVISIONING_FAILED,
        "Provisioning stopped",
        instance.failure or "No peer can connect.",
        "The progress page says which step failed. Try again from there.",
        chip="Failed",
    )


def provisioning_stuck(since: datetime) -> Need:
    """The hub is being created for far longer than expected."""
    return Need(
        Code.PROVISIONING_STUCK,
        "Provisioning does not end",
        "It takes much longer than it should.",
        "Whoever operates the portal can see under “healthz” whether its workers run.",
        since=since,
    )


def deletion_stuck(since: datetime) -> Need:
    """The hub is being taken down for far longer than expected."""
    return Need(
        Code.DELETION_STUCK,
        "The deletion does not end",
        "The server has not confirmed that the hub is gone; it is asked again by itself.",
        "Whoever operates the portal can look at the server, or forget the instance where the server is gone for good.",
        since=since,
    )


def apply_failed(instance: Instance) -> Need:
    """The last changes were refused."""
    return Need(
        Code.APPLY_FAILED,
        "The last changes did not reach the hub",
        instance.failure,
        "What was there before goes on working. The portal tries again by itself every half minute.",
        chip="Changes not applied",
    )


def apply_stuck(since: datetime) -> Need:
    """The hub does not follow, and nothing says why."""
    return Need(
        Code.APPLY_STUCK,
        "Changes do not reach the hub",
        "The hub still runs what it was told before, for longer than a change takes.",
        "Whoever operates the portal can see under “healthz” whether its workers run.",
        chip="Changes not applied",
        since=since,
    )


def hub_silent(instance: Instance) -> Need:
    """The hub has not been heard of."""
    return Need(
        Code.HUB_SILENT,
        "The hub has not been heard of",
        "It may well carry traffic, but who is connected is not known.",
        "Whoever operates the portal can see under “healthz” whether its workers run, and look at the server.",
        chip="Not heard of",
        since=instance.observed_at,
    )


def unreachable(instance: Instance, proofs: Sequence[ListenerProof], *, is_partial: bool) -> Need:
    """Devices cannot reach listeners of the hub, for the same cause at each address of these proofs."""
    message, step = _why_unreachable(instance, proofs)
    return Need(
        Code.HUB_UNREACHABLE,
        "Devices cannot reach part of the hub" if is_partial else "Devices cannot reach the hub",
        message,
        step,
        chip="Partly unreachable" if is_partial else "Unreachable",
        since=_since(proofs),
    )


def address_unreachable(instance: Instance, proofs: Sequence[ListenerProof]) -> Need:
    """Devices cannot reach listeners of the hub at an address that is not the first, such as the IPv6 one."""
    address = proofs[0].address
    message, step = _why_unreachable(instance, proofs)
    title = f"Devices cannot reach the hub at {address}"
    return Need(Code.ADDRESS_UNREACHABLE, title, message, step, tone="waiting", since=_since(proofs))


def _why_unreachable(instance: Instance, proofs: Sequence[ListenerProof]) -> tuple[str, str]:
    """The cause in words, and what to do."""
    listeners = {proof.listener for proof in proofs}
    ports = ports_of(instance, listeners)
    address = _joined(list(dict.fromkeys(proof.address or address_of(instance) for proof in proofs)))
    if not any(proof.cause == ProofCause.FIREWALL for proof in proofs):
        return (
            f"{ports} at {address} do{'es' if len(listeners) == 1 else ''} not answer, not even on the server.",
            "Look at the server: does the hub run there? The portal knocks twice a minute.",
        )
    message = f"{ports} at {address} answer{_s(listeners)} on the server itself, but not to packets from outside."
    step = (
        f"Open {ports} in the server's firewall, or {ALL_PORTS}, for all hubs. Where its rules name an interface, "
        "the portal cannot tell: then the first device that connects proves it."
    )
    return f"{message} Most likely a firewall on the server drops them.", f"{step} The portal knocks twice a minute."


def unproven(instance: Instance, proofs: Sequence[ListenerProof]) -> Need:
    """Whether devices reach listeners of the hub cannot be known from here."""
    ports, address = ports_of(instance, {proof.listener for proof in proofs}), address_of(instance)
    if any(proof.cause == ProofCause.NAT for proof in proofs):
        message = (
            f"{address} is not an address of the server itself, and packets from the server to it do not come back. "
            f"Most likely a router in front translates addresses (NAT) and does not lead back. The hub runs; whether "
            f"{ports} can be reached from outside cannot be told from here."
        )
        step = f"Let the router forward {ports} to the server, or {ALL_PORTS}, for all hubs. Then prove it with a "
        step += "device: the first one that connects does."
    elif any(proof.cause == ProofCause.WAITING for proof in proofs):
        message = f"The hub's address is {address} now, and was not knocked on there yet."
        step = "The portal does so by itself, twice a minute."
    else:
        message = f"The hub runs, but the portal may not knock on {ports} from outside of the server."
        step = f"Let {ports} in, or {ALL_PORTS}, for all hubs. Then prove it with a device: the first one that "
        step += "connects does."
    return Need(
        Code.HUB_UNPROVEN,
        "Not proven from outside",
        message,
        step,
        tone="waiting",
        chip="Not proven from outside",
        since=_since(proofs),
    )


def resolver_silent(instance: Instance) -> Need:
    """None of the hub's resolvers answers."""
    servers = _joined(instance.public_dns)
    return Need(
        Code.RESOLVER_SILENT,
        "No public name resolves",
        f"The hub asks {servers} for public names and gets no answer, so that they resolve on no device that asks the "
        "hub.",
        "Let the server reach port 53 there, UDP and TCP, or name other resolvers on the DNS page.",
    )


def sites_silent(sites: Sequence[SilentSite]) -> Need:
    """Sites that were connected are not any more."""
    named = [f"{site.name} (last seen {site.since:%-d %B, %H:%M} UTC)" for site in sites[:_MOST_NAMED]]
    more = len(sites) - len(named)
    listed = _joined([*named, f"{more} more"] if more else named)
    one = len(sites) == 1
    return Need(
        Code.SITE_SILENT,
        f"{sites[0].name} is not connected any more" if one else f"{len(sites)} sites are not connected any more",
        f"{listed} {'was' if one else 'were'} connected and {'is' if one else 'are'} not heard of any more.",
        f"Look at the router{'' if one else 's'} and the line there. Where that is meant, disable the peer.",
        since=sites[0].since,
    )


def route_nowhere(routes: Sequence[str]) -> Need:
    """Pushed routes lead nowhere."""
    one, more = len(routes) == 1, len(routes) - _MOST_NAMED
    named = _joined([*routes[:_MOST_NAMED], f"{more:,} more"] if more > 0 else list(routes))
    return Need(
        Code.ROUTE_NOWHERE,
        f"{routes[0]} leads nowhere" if one else f"{len(routes):,} pushed routes lead nowhere",
        f"Devices send what is meant for {named} to the hub, which drops it: no connected site advertises "
        f"{'it' if one else 'them'}.",
        "Add it to a site, enable the site that has it, or remove it on the Routing page."
        if one
        else "Add them to a site, enable the sites that have them, or remove them on the Routing page.",
        tone="waiting",
    )


def address_changed(instance: Instance, left: Mapping[str, int], names: Sequence[str]) -> Need:
    """Profiles point to an address that the hub has left; `names` are those of the first peers concerned."""
    count = sum(left.values())
    one, named = count == 1, list(names[:_MOST_NAMED])
    who = _joined([*named, f"{count - len(named):,} more"] if count > len(named) else named)
    return Need(
        Code.ADDRESS_CHANGED,
        "The hub's address changed",
        f"{count:,} delivered profile{' points' if one else 's point'} to {_joined(sorted(left))}: {who}. The hub is "
        f"at {address_of(instance)} now, so {'it does' if one else 'they do'} not connect, unless the former address "
        "still leads here.",
        "Have the profiles fetched anew, by mail to the people concerned, or set HUB_ADDRESS back.",
    )


def drift_recurring(recurring: Recurring) -> Need:
    """Somebody else keeps changing the hub."""
    more = len(recurring.found) - 1
    rest = f" And {more} more." if more else ""
    return Need(
        Code.DRIFT_RECURRING,
        "Something on the server keeps changing the hub",
        f"{recurring.found[0]}{rest} It was undone {recurring.times} times within the last hour.",
        "The portal goes on undoing it, at growing intervals. Look on the server for the person or the program that "
        "does this.",
    )


def ports_of(instance: Instance, listeners: Iterable[str]) -> str:
    """The ports of some listeners, as a firewall takes them: "UDP 20000 and 20001, TCP 20001"."""
    ports: dict[str, list[int]] = {}
    of = {
        Listener.WIREGUARD: ("UDP", instance.wireguard_port),
        Listener.OPENVPN_UDP: ("UDP", instance.openvpn_port),
        Listener.OPENVPN_TCP: ("TCP", instance.openvpn_port),
        Listener.OPENVPN_COMPAT: ("TCP", instance.compat_port),
    }
    for listener in listeners:
        transport, port = of[Listener(listener)]
        ports.setdefault(transport, []).append(port)
    return ", ".join(
        f"{transport} {_joined([str(port) for port in sorted(ports[transport])])}"
        for transport in ("UDP", "TCP")
        if transport in ports
    )


def address_of(instance: Instance) -> str:
    """Where devices look for the hub."""
    addresses = instance.server.addresses if instance.server is not None else ()
    return addresses[0] if addresses else "the server"


def _since(proofs: Sequence[ListenerProof]) -> datetime | None:
    return min((proof.failing_since for proof in proofs if proof.failing_since is not None), default=None)


def _s(items: Sized) -> str:
    return "s" if len(items) == 1 else ""


def _joined(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
