"""The forms that add peers."""

from __future__ import annotations

import re

from vpn.models import Instance


def client_url(instance: Instance) -> str:
    return f"/instances/{instance.pk}/peers/new-client/"


def site_url(instance: Instance) -> str:
    return f"/instances/{instance.pk}/peers/new-site/"


def error_of(page: bytes, field: str) -> str:
    """The words beside a field."""
    found = re.search(rf'id="id_{field}_error">(.*?)</div>', page.decode(), re.DOTALL)
    assert found, f"nothing is said beside {field}"
    return re.sub(r"<[^>]+>", "", found[1]).strip()
