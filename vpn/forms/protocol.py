"""The choice of a peer's protocol, with what the site's router can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.choices import Platform, Protocol
from vpn.forms.fields import ProtocolField
from vpn.platforms.capabilities import Capability, capabilities

_WHY = {
    Protocol.WIREGUARD: _("Fastest. Recommended. Needs UDP."),
    Protocol.OPENVPN: _("Where WireGuard is missing or UDP is blocked: it changes over to TCP by itself."),
}


@dataclass(frozen=True)
class ProtocolChoice:
    """One protocol as a form offers it: `note` is about the site's router, `reason` says why that cannot use it."""

    value: str
    label: str
    why: str | Promise
    note: str
    reason: str
    is_chosen: bool


class ProtocolFields(forms.Form):
    """The protocol between the peer and the hub."""

    protocol = ProtocolField()

    @property
    def router(self) -> tuple[str, str]:
        """Platform and version of the site's router; ("", "") if there is none or it is not known."""
        return "", ""

    @property
    def protocols(self) -> list[ProtocolChoice]:
        """The choices with their descriptions, and the reason if the router cannot use one."""
        platform, version = self.router
        can = capabilities(platform, version) if platform in Platform.values else {}
        chosen = self._shown_protocol(can)
        return [
            ProtocolChoice(
                value=protocol.value,
                label=protocol.label,
                why=_WHY[protocol],
                note=can[protocol].note if protocol in can else "",
                reason=can[protocol].reason if protocol in can else "",
                is_chosen=protocol == chosen,
            )
            for protocol in Protocol
        ]

    @property
    def protocol_before(self) -> str:
        """The chosen protocol, if the form replaced it by another because the router cannot use it; else ""."""
        platform, version = self.router
        can = capabilities(platform, version) if platform in Platform.values else {}
        wanted = self._wanted_protocol
        return wanted if wanted in Protocol.values and wanted != self._shown_protocol(can) else ""

    @property
    def _wanted_protocol(self) -> str:
        """The protocol that a person chose, which the form carries along when it selects another one."""
        given = self.data if self.is_bound else self.initial
        return str(given.get("protocol_before") or self["protocol"].value() or Protocol.WIREGUARD)

    def _shown_protocol(self, can: Mapping[str, Capability]) -> str:
        """The selected protocol: as sent, or else the chosen one, or one that the router can use."""
        if self.is_bound:
            return str(self["protocol"].value() or Protocol.WIREGUARD)
        wanted = self._wanted_protocol
        offered = [protocol for protocol, one in can.items() if one.offered]
        return wanted if not offered or wanted in offered else offered[0]
