"""SECURITY.md says which test shows what: each of them is there."""

from __future__ import annotations

import re

import pytest

from portal.running.options import CLONE

TEXT = (CLONE / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", TEXT)))


@pytest.mark.parametrize("named", NAMED)
def test_what_is_named_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    source = (CLONE / path).read_text()
    assert re.search(rf"^def {test}\(" if test else r"^def test_", source, re.MULTILINE)


def test_every_kind_of_attacker_is_named() -> None:
    kinds = ("member", "admin of another", "device", "router", "stranger", "hub's server", "database", "Redis")
    headings = " ".join(re.findall(r"^## (.*)$", TEXT, re.MULTILINE))
    assert [kind for kind in kinds if kind not in headings] == []


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.search(r"TODO|@|example\.(org|com|net)|<[a-z]", TEXT)
