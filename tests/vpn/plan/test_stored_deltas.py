"""Deltas as they are stored: two versions of the portal read the same rows while it is upgraded."""

from __future__ import annotations

from typing import Any

from vpn.plan.delta import Delta

MEMBERS = {"group:2f6cdd0e-6d5c-4b8e-8a3f-8f1a3a0f6a11": ["0a1b2c3d-0000-4000-8000-000000000001"]}
STORED: dict[str, Any] = {"columns": {}, "rules": None, "peers": {}, "turned": MEMBERS, "records": [[], []]}


def test_a_group_change_that_an_earlier_version_noted_is_read() -> None:
    assert Delta.from_document(STORED).group_changes == MEMBERS


def test_a_group_change_is_stored_as_an_earlier_version_reads_it() -> None:
    assert Delta(group_changes=MEMBERS).document().keys() == STORED.keys()
