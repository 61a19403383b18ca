"""Filters and paths (RFC 7644, 3.4.2.2 and 3.5.2), parsed into a tree. Attribute names are in lower case."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from vpn.api.scim.faults import Fault

OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
MOST_COMPARISONS: Final = 50
_DEEPEST: Final = 20
# SQLite refuses patterns of more than 50,000 bytes.
_LONGEST: Final = 10_000
_CORE: Final = re.compile(r"urn:ietf:params:scim:schemas:core:2\.0:(?:user|group):", re.IGNORECASE)
_TOKEN: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]"]+)')
_NAME: Final = re.compile(r"(?:urn:[\w.:-]+:)?[a-z$][\w$-]*(?:\.[a-z$][\w$-]*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Compare:
    """An attribute, compared with a value; the operator `pr` asks whether it has one."""

    name: str
    operator: str
    value: Any = None


@dataclass(frozen=True)
class Within:
    """A condition on one item of a list."""

    name: str
    inner: Node


@dataclass(frozen=True)
class Not:
    """The opposite."""

    inner: Node


@dataclass(frozen=True)
class Every:
    """All of these."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """One of these at least."""

    parts: tuple[Node, ...]


Node: TypeAlias = Compare | Within | Not | Every | Some


@dataclass(frozen=True)
class Path:
    """Where a PATCH changes something: an attribute, some of its items, and a part of them."""

    name: str
    items: Node | None = None
    part: str = ""


def parse_filter(text: str) -> Node:
    """Parse a filter. Raises the fault (invalidFilter, tooMany)."""
    parser = _Parser(text, "invalidFilter")
    node = parser.some(0)
    parser.end()
    return node


def parse_path(text: str) -> Path:
    """Parse the path of a PATCH operation. Raises the fault (invalidPath, tooMany)."""
    parser = _Parser(text, "invalidPath")
    # The name of an extension has a dot, too.
    schema, colon, last = parser.name().rpartition(":")
    name, _, part = last.partition(".")
    items = None
    if parser.peek() == "[":
        if part:
            parser.refuse()
        items = parser.bracket(0)
        part = parser.part()
    parser.end()
    return Path(f"{schema}{colon}{name}", items, part)


def comparisons_in(node: Node | None) -> int:
    """How many comparisons a condition has."""
    match node:
        case None:
            return 0
        case Compare():
            return 1
        case Not(inner) | Within(_, inner):
            return comparisons_in(inner)
        case Every(parts) | Some(parts):
            return sum(map(comparisons_in, parts))


class _Parser:
    def __init__(self, text: str, kind: str) -> None:
        self.kind, self.at, self.comparisons = kind, 0, 0
        self.tokens = self._split(text)

    def _split(self, text: str) -> list[str]:
        found, at = [], 0
        while match := _TOKEN.match(text, at):
            found.append(match[1])
            at = match.end()
        if text[at:].strip() or "\0" in text or len(text) > _LONGEST:
            self.refuse()
        return found

    def refuse(self) -> None:
        raise Fault(400, self.kind, "This is no filter or path as RFC 7644 defines it.")

    def peek(self) -> str:
        return self.tokens[self.at].lower() if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at == len(self.tokens):
            self.refuse()
        self.at += 1
        return self.tokens[self.at - 1]

    def end(self) -> None:
        if self.at < len(self.tokens):
            self.refuse()

    def some(self, depth: int) -> Node:
        parts = [self.every(depth)]
        while self.peek() == "or":
            self.take()
            parts.append(self.every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def every(self, depth: int) -> Node:
        parts = [self.one(depth)]
        while self.peek() == "and":
            self.take()
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def one(self, depth: int) -> Node:
        if depth > _DEEPEST:
            self.refuse()
        if self.peek() == "not":
            self.take()
            return Not(self.group(depth))
        if self.peek() == "(":
            return self.group(depth)
        name = self.name()
        if self.peek() != "[":
            return self.comparison(name)
        within = Within(name, self.bracket(depth))
        # As Entra ID sends it: emails[type eq "work"].value eq "anna@example.org"
        part = self.part()
        return Within(name, Every((within.inner, self.comparison(part)))) if part else within

    def group(self, depth: int) -> Node:
        if self.take() != "(":
            self.refuse()
        node = self.some(depth + 1)
        if self.take() != ")":
            self.refuse()
        return node

    def bracket(self, depth: int) -> Node:
        self.take()
        node = self.some(depth + 1)
        if self.take() != "]":
            self.refuse()
        return node

    def part(self) -> str:
        if not self.peek().startswith("."):
            return ""
        name = self.take()[1:]
        if "." in name or not _NAME.fullmatch(name):
            self.refuse()
        return name.lower()

    def name(self) -> str:
        token = self.take()
        if not _NAME.fullmatch(token):
            self.refuse()
        return _CORE.sub("", token).lower()

    def comparison(self, name: str) -> Compare:
        self.comparisons += 1
        if self.comparisons > MOST_COMPARISONS:
            raise Fault(400, "tooMany", f"A filter has at most {MOST_COMPARISONS} comparisons.")
        operator = self.take().lower()
        if operator == "pr":
            return Compare(name, operator)
        if operator not in OPERATORS:
            self.refuse()
        return Compare(name, operator, self.value())

    def value(self) -> Any:
        token = self.take()
        try:
            # Some clients send "True" without quotes.
            found = json.loads(token if token.startswith('"') else token.lower())
            str(found).encode()  # no halves of characters
        except (ValueError, RecursionError):
            found = []
        if isinstance(found, list | dict) or (isinstance(found, str) and "\0" in found):
            self.refuse()
        return found
