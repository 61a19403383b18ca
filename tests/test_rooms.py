"""The rooms: each module stands in a layer of the import contracts, and no layer names a room that is gone."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Packages whose modules the contracts name one by one.
PACKAGES = ("portal", "vpn")
# Django's own files: nothing imports them.
APART = {"vpn.migrations", "portal.migrations"}


def test_each_module_is_in_a_layer() -> None:
    here = {name for package in PACKAGES for name in _modules(package)}
    assert here - APART == _layered()


@pytest.mark.parametrize(("room", "others"), [("agent", ("vpn.agent", "vpn.wire")), ("wire", ("vpn.wire",))])
def test_the_agent_needs_the_standard_library_alone(room: str, others: tuple[str, ...]) -> None:
    """Contracts forbid packages by name; this finds every other one, too."""
    imported = {name for path in (ROOT / "vpn" / room).rglob("*.py") for name in _imported(path)}
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not f"{name}.".startswith(tuple(f"{other}." for other in others))} == set()


def _imported(path: Path) -> set[str]:
    """What a module imports, anywhere in it; `from vpn import x` counts as `vpn.x`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _layered() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"].startswith("Each layer"))
    return {name.strip() for layer in layers for name in layer.replace("|", ":").split(":")}


def _modules(package: str) -> list[str]:
    paths = (path for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    return [f"{package}.{path.stem}" for path in paths if path.stem != "__init__"]
