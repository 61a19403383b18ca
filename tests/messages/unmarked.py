"""Find text in a template that a person would see and that no translation tag marks."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from django.template.base import Lexer, Token, TokenType

# Attributes that a person reads or hears.
_READ: Final = {
    "alt",
    "aria-description",
    "aria-label",
    "aria-roledescription",
    "data-label",
    "label",
    "placeholder",
    "title",
}
# The content of these is for programs.
_SILENT: Final = {"script", "style"}
_BLOCKS: Final = {"blocktranslate": "endblocktranslate", "comment": "endcomment", "verbatim": "endverbatim"}
_WORD: Final = re.compile(r"[^\W\d_]{2}")
_LITERAL: Final = re.compile(r"""(_\()?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
# Literals in these name things.
_NAMING: Final = {"load", "url", "static", "extends", "block", "get_current_language", "translate", "csrf_token"}
_ENDINGS: Final = re.compile(r"\|(pluralize|yesno)\b")
# Products, protocols and units, which are the same in every language.
_NAMES: Final = re.compile(
    r"\b(WireGuard|OpenVPN|RouterOS|MikroTik|OPNsense|pfSense|OpenWrt|Linux|Windows|macOS|iPhone|iPad|Android|iOS|"
    r"TCP|UDP|ICMP|DNS|VPN|API|MTU|NAT|CSV|JSON|SSH|QR|IPv4|IPv6|KiB|MiB|GiB|TiB|ms|min)\b"
)


def unmarked(path: Path) -> list[str]:
    """The texts of a template outside of translation tags, in their order."""
    tokens = Lexer(path.read_text()).tokenize()
    found = [text for token in tokens for text in _in_tag(token)]
    if path.suffix == ".html":
        walk = _Walk()
        walk.feed(_without_tags(tokens))
        walk.close()
        return found + walk.found
    return found + [line.strip() for line in _without_tags(tokens).splitlines() if _is_text(line)]


def _is_text(text: str) -> bool:
    return bool(_WORD.search(_NAMES.sub("", text)))


def _in_tag(token: Token) -> list[str]:
    """Literals with words, and endings, in a tag or variable."""
    if token.token_type not in {TokenType.BLOCK, TokenType.VAR}:
        return []
    content = token.contents
    name = content.split()[0] if token.token_type == TokenType.BLOCK else ""
    if name in _NAMING or name.startswith("heroicon"):
        return []
    endings = [content] if _ENDINGS.search(content) else []
    literals = [text[1:-1] for marked, text in _LITERAL.findall(content) if not marked]
    if name == "blocktranslate":
        literals = [text for text in literals if content.find(f"context {text!r}") < 0]
    return endings + [text for text in literals if _is_sentence(text)]


def _is_sentence(text: str) -> bool:
    """True for "Words" and "some words"; not for a path, a code or a format."""
    return _is_text(text) and not re.search(r"[/=<%]", text) and (" " in text.strip() or text[:1].isupper())


def _without_tags(tokens: list[Token]) -> str:
    """The template's own text, with nothing where tags and marked blocks are."""
    parts, until = [], ""
    for token in tokens:
        name = token.contents.split()[0] if token.token_type == TokenType.BLOCK and token.contents else ""
        if until:
            until = "" if name == until else until
        elif name in _BLOCKS:
            until = _BLOCKS[name]
        elif token.token_type == TokenType.TEXT:
            parts.append(token.contents)
    return "".join(parts)


class _Walk(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        values = dict(attrs)
        read: dict[str, str] = {name: value for name, value in values.items() if name in _READ and value}
        if tag == "input" and values.get("type") in {"submit", "button"}:
            read["value"] = values.get("value") or ""
        self.found += [f'{name}="{value}"' for name, value in read.items() if value and _is_text(value)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._silent -= tag in _SILENT

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent and _is_text(data):
            self.found.append(" ".join(data.split()))
