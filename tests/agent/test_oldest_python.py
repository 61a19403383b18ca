"""The agent runs with Python 3.10 (Ubuntu 22.04): neither newer syntax nor newer names of the standard library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.agent import made

VPN: Final = Path(made.__file__).resolve().parents[2] / "vpn"
# What 3.11 and later added, as far as code like this could use it ("What's New in Python").
NEWER: Final = {
    "typing": {
        *("Never", "NotRequired", "Required", "Self", "LiteralString", "Unpack", "TypeVarTuple", "assert_never"),
        *("assert_type", "override", "TypeAliasType", "dataclass_transform", "reveal_type", "ReadOnly", "TypeIs"),
    },
    "enum": {"StrEnum", "verify", "member", "nonmember", "EnumCheck", "FlagBoundary"},
    "datetime": {"UTC"},
    "contextlib": {"chdir"},
    "hashlib": {"file_digest"},
    "itertools": {"batched"},
    "os": {"unshare", "setns"},
    "asyncio": {"TaskGroup", "timeout", "Runner"},
    "operator": {"call"},
    "tomllib": {"load", "loads"},
}
SOURCES: Final = sorted(path for part in ("agent", "wire") for path in (VPN / part).rglob("*.py"))


def used(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that a module takes from others, with the module; also those behind a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(VPN)))
def test_no_module_needs_a_newer_python(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    assert {(module, name) for module, name in used(tree) if name in NEWER.get(module, set())} == set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # The byte order has a default since 3.11.
            assert node.func.attr not in {"to_bytes", "from_bytes"} or len(node.args) + len(node.keywords) > 1
        assert not isinstance(node, ast.TryStar)
