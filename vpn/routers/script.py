"""The script that a router runs once to enrol: it brings the program that follows the portal from then on."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

from django.conf import settings

_HERE = Path(__file__).resolve().parent
_PLACES = ("@PORTAL@", "@TOKEN@", "@FOLLOWER@")


def enrolment_script(token: str) -> str:
    """The script for sh(1), with the single-use token with which it enrols."""
    values = (shlex.quote(settings.PUBLIC_URL), shlex.quote(token), follower())
    text = _read("enrol.sh")
    for place, value in zip(_PLACES, values, strict=True):
        text = text.replace(place, value)
    return text


def follower() -> str:
    """The program that a router runs at each check-in."""
    return _read("follow.sh")


def enrolment_lines(token: str) -> tuple[tuple[str, str], ...]:
    """The lines to paste on the router, each with the program that it needs."""
    header = f"Authorization: Bearer {token}"
    address = shlex.quote(f"{settings.PUBLIC_URL}/api/v1/vpn/router/script")
    return (
        ("curl", f"curl -fsS -H '{header}' {address} | sh"),
        ("wget", f"wget -qO- --header='{header}' {address} | sh"),
    )


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text()
