"""The rooms: each module stands in a layer of the import contracts, and no layer names a room that is gone."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Packages whose modules the contracts name one by one.
PACKAGES = ("portal", "vpn")
# Django's own files: nothing imports them.
APART = {"vpn.migrations", "portal.migrations"}


def test_each_module_is_in_a_layer() -> None:
    here = {name for package in PACKAGES for name in _modules(package)}
    assert here - APART == _layered()


def _layered() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"].startswith("Each layer"))
    return {name.strip() for layer in layers for name in layer.replace("|", ":").split(":")}


def _modules(package: str) -> list[str]:
    paths = (path for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    return [f"{package}.{path.stem}" for path in paths if path.stem != "__init__"]
