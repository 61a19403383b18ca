"""Every code that the agent may tell has words in the portal, and no words are left without a code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from vpn import failures
from vpn.presenters.findings import drift, refusals, sentence_of
from vpn.presenters.findings import failures as failure_words
from vpn.wire import codes
from vpn.wire.finding import Code, Finding

VPN: Final = Path(codes.__file__).parent.parent
CODES: Final = {name: value for name, value in vars(codes).items() if isinstance(value, Code)}
FAILURES: Final = {name: value for name, value in vars(failures).items() if isinstance(value, Code)}


def uses(folders: tuple[str, ...], module: str = "codes") -> set[str]:
    """Return the names of `vpn.wire.codes`, or of another module, that the modules in these folders name."""
    found = set()
    for path in (path for folder in folders for path in (VPN / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
                found.add(node.attr)
    return found


def test_no_two_codes_are_the_same() -> None:
    assert len(set(CODES.values())) == len(CODES)


def test_every_code_has_words_and_all_words_have_a_code() -> None:
    assert drift.WORDS.keys() | refusals.WORDS.keys() == set(CODES.values())
    assert not drift.WORDS.keys() & refusals.WORDS.keys()


def test_every_failure_has_words_and_is_used() -> None:
    assert failure_words.WORDS.keys() == set(FAILURES.values())
    assert {code.component for code in FAILURES.values()} == {"portal"}, "no code of the agent's"
    assert FAILURES.keys() == uses(("actions", "jobs", "drivers", "publishers"), "failures")


def test_the_agent_uses_every_code() -> None:
    assert CODES.keys() - uses(("agent", "wire")) == set()


def test_every_refusal_of_the_agent_carries_a_finding() -> None:
    without = []
    for path in (path for folder in ("agent", "wire") for path in (VPN / folder).rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "AgentError"]
        # `vpn.wire.errors` makes errors of what others sent.
        without += [f"{path}:{call.lineno}" for call in named if len(call.args) < 3 and path.name != "errors.py"]
    assert without == []


@pytest.mark.parametrize(
    "code", [*CODES.values(), *FAILURES.values()], ids=lambda code: f"{code.component}-{code.name}"
)
def test_words_are_a_sentence_with_nothing_left_open(code: Code) -> None:
    words = sentence_of(code.of("a-subject"))
    assert re.fullmatch(r"(?:[A-Z]|wg |wireguard-go |a-subject ).*\.", words), words
    assert "%" not in words
    assert "{" not in words


def test_a_code_of_a_newer_agent_is_named() -> None:
    words = sentence_of(Finding("quantum", "entangled", "10.0.0.0/8"))
    for part in ("quantum", "entangled", "10.0.0.0/8"):
        assert part in words
    assert words.endswith(".")
