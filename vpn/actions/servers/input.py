"""Checked input for regions and servers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from django.utils.translation import gettext as _

from portal.exceptions import InvalidInput, NotPossible
from vpn.choices import ServerState
from vpn.models import Server
from vpn.wire.server_side import is_no_server_address

_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,58}[A-Za-z0-9])?")
_LAST_PORT: Final = 65535


@dataclass(frozen=True)
class SshPlace:
    """Where a server listens for SSH, and the account there."""

    user: str
    host: str
    port: int


def parse_ssh(text: str) -> SshPlace:
    """Return the parts of USER@HOST[:PORT], with an IPv6 address in brackets. Raises InvalidInput."""
    user, at, rest = text.strip().rpartition("@")
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", rest)
    plain = re.fullmatch(r"([^:\[\]]+)(?::([0-9]{1,5}))?", rest)
    found = bracketed or plain
    if not at or found is None or not _USER.fullmatch(user):
        raise InvalidInput.in_field("ssh", _("Enter the account and the host as USER@HOST or USER@HOST:PORT."))
    host, port = found[1], int(found[2] or 22)
    if not (_is_address(host) if bracketed else _HOST.fullmatch(host)):
        raise InvalidInput.in_field("ssh", _("%(host)s is not a name or an address of a host.") % {"host": host})
    if not 1 <= port <= _LAST_PORT:
        raise InvalidInput.in_field("ssh", _("A port is from 1 to 65535."))
    return SshPlace(user, host, port)


def checked_addresses(address: str, address_v6: str) -> tuple[str, str | None]:
    """Return the canonical public addresses. Raises InvalidInput."""
    for field, text in (("address", address), ("address_v6", address_v6)):
        if not _is_address(text) and (text or field == "address"):
            raise InvalidInput.in_field(field, _("Enter an IPv4 or IPv6 address."))
        if text and is_no_server_address(text):
            raise InvalidInput.in_field(
                field, _("Enter an address by which devices reach the server, not %(address)s.") % {"address": text}
            )
    first, second = ip_address(address), ip_address(address_v6) if address_v6 else None
    if second is not None and (second.version, first.version) != (6, 4):
        raise InvalidInput.in_field("address_v6", _("Enter an IPv6 address here, and an IPv4 one as the first."))
    return str(first), str(second) if second else None


def checked_code(code: str) -> str:
    """Return the code of a region. Raises InvalidInput."""
    if not _CODE.fullmatch(code):
        raise InvalidInput.in_field("code", _("Use up to 20 of a to z, 0 to 9 and hyphens, and begin with a letter."))
    return code


def checked_name(name: str) -> str:
    """Return the name of a region or server. Raises InvalidInput."""
    if not name.strip():
        raise InvalidInput.in_field("name", _("Enter a name."))
    if not _NAME.fullmatch(name.strip()):
        raise InvalidInput.in_field("name", _("Use up to 60 letters, digits, spaces, dots, hyphens and underscores."))
    return name.strip()


def refuse_compromised(server: Server) -> None:
    """Raise NotPossible for a server that was compromised: it is not trusted again."""
    if Server.objects.filter(pk=server.pk, state=ServerState.COMPROMISED).exists():
        raise NotPossible(
            _("%(server)s was compromised.") % {"server": server.name},
            next_step=_("Install it anew, forget it here, and add it again: it gets another key pair."),
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
