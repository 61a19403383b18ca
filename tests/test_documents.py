"""The documents lead a reader through the code: each file and name that they mention exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
PATH = re.compile(r"`((?:vpn|portal|tests|templates|static|docs)/[\w/.-]+)(?:::\w+)?`")


def test_each_name_on_the_data_path_exists() -> None:
    named = NAMED.findall((ROOT / "docs/data-path.md").read_text())
    assert len(named) > 20
    assert [f"{path}::{name}" for path, name in named if name not in _defined(path)] == []


def test_each_path_in_the_documents_exists() -> None:
    documents = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {path for document in documents for path in PATH.findall(document.read_text())}
    assert len(named) > 50
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def _defined(path: str) -> set[str]:
    file = ROOT / path
    tree = ast.parse(file.read_text()) if file.exists() else ast.Module([], [])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}
