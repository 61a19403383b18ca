"""Find sentences in Python that a person would see and that no call of gettext marks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.messages.marked import ROOT

# Read by programs and operators, in English: the API, commands, the agent, what starts the portal.
_ENGLISH: Final = (
    *("portal/management", "portal/running", "portal/serving", "portal/configuration", "portal/settings.py"),
    # SCIM, a protocol between programs.
    "portal/actions/directory.py",
    *("vpn/api", "vpn/agent", "vpn/management", "vpn/wire", "vpn/drivers", "vpn/publishers"),
)
# What forms, models and Django admin show.
_SHOWN: Final = {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label", "description", "next_step"}
# What refuses, and what is told on the next page. `messages.info` is one, `logger.info` is none.
_REFUSALS: Final = {"NotPossible", "Conflict", "InvalidInput", "ValidationError", "in_field", "add_error"}
_TOLD: Final = {"success", "info", "warning", "error"}
_WORDS: Final = re.compile(r"[^\W\d_]{2,}")
_SENTENCE: Final = re.compile(r"[^\W\d_]{2,}.* .*[.?!]$", re.DOTALL)


def files() -> list[Path]:
    """The code whose texts people see."""
    found = [path for name in ("portal", "vpn") for path in sorted((ROOT / name).rglob("*.py"))]
    return [
        path
        for path in found
        if "migrations" not in path.parts and not path.relative_to(ROOT).as_posix().startswith(_ENGLISH)
    ]


def unmarked_in(source: str) -> Iterator[str]:
    """Yield the texts of these calls that are no argument of gettext."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        shown = [one.value for one in node.keywords if one.arg in _SHOWN]
        yield from (text for one in shown if _WORDS.search(text := _text(one)))
        if _tells(node.func):
            yield from (text for one in node.args for text in _texts(one) if _SENTENCE.search(text))


def _tells(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in _REFUSALS
    if not isinstance(called, ast.Attribute):
        return False
    return called.attr in _REFUSALS or (
        called.attr in _TOLD and isinstance(called.value, ast.Name) and called.value.id == "messages"
    )


def _texts(node: ast.AST) -> Iterator[str]:
    """The texts of literals in an expression, such as a list, but not in a call, such as one of gettext."""
    if isinstance(node, ast.expr) and (text := _text(node)):
        yield text
    elif not isinstance(node, ast.Call):
        for part in ast.iter_child_nodes(node):
            yield from _texts(part)


def _text(node: ast.expr) -> str:
    """The text of a literal, with … for values; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
