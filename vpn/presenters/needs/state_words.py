"""The words for problems of a hub itself: lost, failed, stuck, silent."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.choices import ServerState
from vpn.needs import Need
from vpn.presenters.findings import failure_of
from vpn.presenters.needs.words import Words


def lost(need: Need) -> Words:
    """The server of the hub has not answered for long, or was compromised."""
    server = need.instance.server
    if server is not None and server.state == ServerState.COMPROMISED:
        return _compromised(need)
    return Words(
        _("The hub's server no longer answers"),
        failure_of(need.instance) or _("The portal does not know whether packets still flow through this hub."),
        _(
            "The portal's operator was mailed and can look at the server; the hub comes back with it, or on another "
            "server. No profile has to be issued again."
        ),
        chip=_("Lost"),
    )


def _compromised(need: Need) -> Words:
    return Words(
        _("The hub's server was compromised"),
        failure_of(need.instance) or _("The hub gets new keys and is created on another server. This has begun."),
        _("After that, every device and site needs its new profile; old profiles connect nowhere."),
        chip=_("Lost"),
    )


def provisioning_failed(need: Need) -> Words:
    """The hub could not be created."""
    return Words(
        _("Provisioning stopped"),
        failure_of(need.instance) or _("No peer can connect."),
        _("The progress page says which step failed. Try again from there."),
        chip=_("Failed"),
    )


def provisioning_stuck(need: Need) -> Words:
    """Creating the hub takes far longer than expected."""
    return Words(
        _("Provisioning does not end"),
        _("It takes much longer than it should."),
        _("The portal's operator can see under “healthz” whether its workers run."),
    )


def deletion_stuck(need: Need) -> Words:
    """Removing the hub takes far longer than expected."""
    return Words(
        _("The deletion does not end"),
        _("The server has not confirmed that the hub is gone; it is asked again by itself."),
        _("The portal's operator can look at the server, or forget the instance where the server is gone for good."),
    )


def apply_failed(need: Need) -> Words:
    """The last changes were refused."""
    return Words(
        _("The last changes did not reach the hub"),
        failure_of(need.instance),
        _("What was there before goes on working. The portal tries again by itself every half minute."),
        chip=_("Changes not applied"),
    )


def apply_stuck(need: Need) -> Words:
    """The hub does not apply changes, and no error is known."""
    return Words(
        _("Changes do not reach the hub"),
        _("The hub still runs its previous configuration, for longer than a change takes."),
        _("The portal's operator can see under “healthz” whether its workers run."),
        chip=_("Changes not applied"),
    )


def agent_differs(need: Need) -> Words:
    """The agent on the server supports another version of the spec's schema than the portal."""
    return Words(
        _("The portal and the agent on the hub's server are of different versions"),
        _("The hub goes on as it is. The agent may refuse changes, or report less than this portal asks for."),
        _("The portal's operator can restart it: this machine's agent is then of the portal's version."),
        tone="waiting",
    )


def hub_silent(need: Need) -> Words:
    """The hub has not reported lately."""
    return Words(
        _("The hub does not report"),
        _("It may well carry traffic, but who is connected is not known."),
        _("The portal's operator can see under “healthz” whether its workers run, and look at the server."),
        chip=_("No report"),
    )


def hub_late(need: Need) -> Words:
    """The hub's last report is older than a few intervals."""
    message = _("The hub was last observed at %(since)s UTC. Who has connected or disconnected since is not known.")
    return Words(
        _("The hub is observed late"),
        message % {"since": f"{need.since:%H:%M:%S}"},
        _("The hub goes on as it is. The portal's operator can see under “healthz” how many hubs are late."),
        tone="waiting",
    )


def former_server_silent(need: Need) -> Words:
    """The server that the hub left has not confirmed that it ended its hub."""
    former = need.facts.silent_formers[0]
    message = _(
        "The hub left %(server)s, which does not answer. Devices that use its address may still be connected to the "
        "former hub there, which gets no changes."
    )
    return Words(
        _("The former server does not answer"),
        message % {"server": former.server.name},
        _("As soon as it answers, the portal ends the former hub, and the server forwards to the present one."),
        tone="waiting",
    )
