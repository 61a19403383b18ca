"""What pages say of outdated profiles."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _

from vpn import doorbell
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer
from vpn.profiles.outdated import find_outdated, last_found

# So many profiles are compared while a page is made; a worker compares more.
_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Outdated:
    """Peers with an outdated profile, and how many profiles were delivered; only peers that may connect count.

    `ids` are in the order of the instance's list of peers. While `is_being_found`, a worker compares the profiles, and
    `ids` are of the change before the last.
    """

    ids: AbstractSet[UUID]
    delivered: int
    is_being_found: bool = False


def outdated_of(instance: Instance, delivered: int) -> Outdated:
    """The instance's outdated profiles of the `delivered` ones. Where these are many, a worker finds them.

    It does so once for all readers.
    """
    if not delivered:
        return Outdated(frozenset(), 0)
    found = last_found(instance)
    if found is None or not found.is_newest:
        if delivered > _AT_ONCE:
            doorbell.enqueue_outdated(instance.pk, instance.organization_id)
            return Outdated(found.ids if found else frozenset(), delivered, is_being_found=True)
        found = find_outdated(instance)
    return Outdated(found.ids, delivered)


def outdated_words(peer: Peer) -> str:
    """What an outdated profile means for its device, in a sentence."""
    if has_former_keys(peer):
        return _("Its profile connects nowhere any more: the hub has new keys, because its server was compromised.")
    return _("Its profile is outdated: it works, but without the changes made since.")


def has_former_keys(peer: Peer) -> bool:
    """Is the profile that was fetched last from before the hub's keys were replaced?"""
    replaced_at = peer.instance.keys_replaced_at
    return replaced_at is not None and peer.delivered_at is not None and peer.delivered_at < replaced_at


def remedy_of(peer: Peer) -> str:
    """What to do about an outdated profile, in a sentence."""
    if peer.has_enrolled_router and not peer.is_openvpn:
        return _("Its router fetches changes itself; its state is under “Router”.")
    if not peer.has_profile:
        return _("Renew its keys, since the portal no longer has them, and fetch the new profile.")
    if peer.key_custody == KeyCustody.DEVICE:
        return _(
            "Renew its key on the device and import the new profile, or change the old one as “Show profile” says."
        )
    return _("Fetch it again and import it in place of the old one.")
