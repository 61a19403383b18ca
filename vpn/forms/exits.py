"""Exit through a site: the choice of a client, and an admin's confirmation for a site."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django import forms
from django.utils.translation import gettext as _

from vpn.forms.fields import ConfirmationField
from vpn.models import Peer


def add_exit_fields(form: forms.Form, peer: Peer, exits: Iterable[tuple[UUID, str]]) -> None:
    """Add what a peer's form asks of an exit; `exits` are the sites that a client may choose from."""
    if peer.is_site:
        form.fields["is_exit"] = _confirmation(peer)
        return
    known = list(exits)
    if known:
        form.fields["exit_site_id"] = forms.TypedChoiceField(
            label=_("Its way to the internet"),
            choices=[
                ("", _("Through the hub")),
                *((str(pk), _("Through %(site)s") % {"site": name}) for pk, name in known),
            ],
            coerce=UUID,
            empty_value=None,
            required=False,
            initial=str(peer.exit_site_id or ""),
            help_text=_(
                "For a device that sends all traffic: with a site, the internet sees that site's address. While the "
                "site is away, nothing goes out."
            ),
        )


def _confirmation(peer: Peer) -> forms.Field:
    field = ConfirmationField(
        label=_("This router passes on all traffic of chosen clients"),
        help_text=_(
            "The site becomes the exit of this instance. Its router needs the files for it, which its profile has then."
        ),
        initial=bool(peer.is_exit),
    )
    if peer.is_openvpn and not peer.is_exit:
        field.disabled = True
        field.help_text = _("Only a site over WireGuard can be an exit.")
    return field
