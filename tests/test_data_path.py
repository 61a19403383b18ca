"""docs/data-path.md leads a reader through the code: each file and name in it exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_each_name_on_the_data_path_exists() -> None:
    named = NAMED.findall((ROOT / "docs/data-path.md").read_text())
    assert len(named) > 20
    assert [f"{path}::{name}" for path, name in named if name not in _defined(path)] == []


def _defined(path: str) -> set[str]:
    file = ROOT / path
    tree = ast.parse(file.read_text()) if file.exists() else ast.Module([], [])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}
