"""The words for a public name that does not lead to its hub."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vpn.needs import Need
from vpn.presenters.findings import sentence_of
from vpn.presenters.needs.words import Words
from vpn.wire.finding import parse_finding


def name_unpublished(need: Need) -> Words:
    """The hub's name is not published, or does not resolve to the hub."""
    instance = need.instance
    seen = instance.name_seen
    if seen is None or not seen.finding:
        raise ValueError("this need has no finding")
    delivered = need.facts.peers.hosts.get(instance.full_hostname, 0)
    if instance.resolving_name:
        title, effect = _("The hub's public name is not kept up to date"), _("It still resolves to the hub.")
    else:
        title = _("The hub's public name does not lead to it")
        effect = _("New profiles carry the hub's address until it does.")
    if delivered and not instance.resolving_name:
        words = ngettext(
            "%(count)s delivered profile points to the name.",
            "%(count)s delivered profiles point to the name.",
            delivered,
        )
        effect = f"{words % {'count': f'{delivered:,}'}} {effect}"
    message = f"{instance.full_hostname}: {effect}"
    return Words(title, message, sentence_of(parse_finding(seen.finding)), "bad" if delivered else "waiting")
