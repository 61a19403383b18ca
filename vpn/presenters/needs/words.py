"""What the words of all needs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _

from vpn.models import Instance

Tone = Literal["bad", "waiting"]


@dataclass(frozen=True)
class Words:
    """The words of one need; see `Notice`."""

    title: str
    message: str
    next_step: str
    tone: Tone = "bad"
    chip: str = ""


def address_of(instance: Instance) -> str:
    """Where devices look for the hub."""
    addresses = instance.server.addresses if instance.server is not None else ()
    return addresses[0] if addresses else _("the server")
