"""Why a profile is not handed out."""

from __future__ import annotations

from django.utils.translation import gettext as _

from portal.exceptions import NotPossible
from vpn.choices import InstanceState
from vpn.models import Instance, Peer


class NotOffered(Exception):
    """The peer has no such file; `field` of the request is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


class HubNotReady(NotPossible):
    """The hub does not have the peer yet, so its profile would not connect.

    If `may_come` is false, waiting does not help.
    """

    def __init__(self, peer: Peer) -> None:
        instance = peer.instance
        super().__init__(_("The hub does not have this peer yet."), code="hub-not-ready", next_step=_when(instance))
        self.peer_id = peer.pk
        self.may_come = instance.state not in {InstanceState.FAILED, InstanceState.LOST}


def _when(instance: Instance) -> str:
    """When the hub will have the peer, as far as is known."""
    if instance.state == InstanceState.FAILED:
        return _("The hub could not be created: an admin has to fix that first.")
    if instance.state == InstanceState.LOST:
        return _("The hub's server does not answer: an admin has to fix that first.")
    if instance.state != InstanceState.READY:
        return _("The hub is being created; try again in a few minutes.")
    if instance.failure:
        return _("The last changes did not reach it. The portal tries again by itself; an admin can see the cause.")
    return _("The hub is being updated; try again in a moment.")


class PeerNotAdmitted(NotPossible):
    """The peer may not connect now, so its profile would not work."""

    def __init__(self) -> None:
        super().__init__(
            _("This peer is disabled or has expired, so its profile would not connect."),
            code="peer-not-admitted",
            next_step=_("Enable it first."),
        )


class KeyDestroyed(NotPossible):
    """The portal had the peer's private key and has destroyed it, so its profile cannot be made again."""

    def __init__(self) -> None:
        super().__init__(
            _("This peer's private key was destroyed after delivery."),
            code="key-destroyed",
            next_step=_("Renew its keys for a new profile."),
        )


class HubGoing(NotPossible):
    """The instance is being deleted, so its profiles will never work again."""

    def __init__(self) -> None:
        super().__init__(
            _("This instance is being deleted, so the profile would not connect."), code="instance-being-deleted"
        )


class PassphraseWanted(Exception):
    """The share link asks for a passphrase; `is_wrong` if a wrong one was given."""

    def __init__(self, *, is_wrong: bool = False) -> None:
        super().__init__("wrong" if is_wrong else "missing")
        self.is_wrong = is_wrong


class LinkNotFound(Exception):
    """There is no such share token, or it was used, or it has expired."""
