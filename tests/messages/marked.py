"""Collect the texts that are marked for translation, from templates and Python, without gettext's programs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from django.template.base import Lexer, Token, TokenType
from django.utils.translation import trim_whitespace

ROOT: Final = Path(__file__).resolve().parents[2]
TEMPLATES: Final = ROOT / "templates"
_CODE: Final = ("portal", "vpn")
_LITERAL: Final = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_UNDERSCORE: Final = re.compile(rf"_\({_LITERAL}\)")
_TRANSLATE: Final = re.compile(rf"translate\s+{_LITERAL}(?:.*\bcontext\s+{_LITERAL})?")
_CONTEXT: Final = re.compile(rf"\bcontext\s+{_LITERAL}")
# The places of context, message and plural among a call's arguments.
_CALLS: Final = {
    "gettext": (None, 0, None),
    "ngettext": (None, 0, 1),
    "pgettext": (0, 1, None),
    "npgettext": (0, 1, 2),
}


class Message(NamedTuple):
    """What gettext looks up; `plural` and `context` are None if there is none."""

    text: str
    plural: str | None = None
    context: str | None = None


def marked_in(path: Path) -> Iterator[Message]:
    """Yield the marked texts of a template or a Python file, in their order."""
    if path.suffix == ".py":
        yield from _of_code(path)
    else:
        yield from _of_template(Lexer(path.read_text()).tokenize())


def sources() -> list[Path]:
    """All files that may have marked texts: templates by their names, then code."""
    templates = [path for path in sorted(TEMPLATES.rglob("*")) if path.suffix in {".html", ".txt"}]
    code = [path for name in _CODE for path in sorted((ROOT / name).rglob("*.py")) if "migrations" not in path.parts]
    return [*templates, *code]


def collect() -> dict[Message, list[str]]:
    """Every marked text with the files that have it."""
    found: dict[Message, list[str]] = {}
    for path in sources():
        name = str(path.relative_to(ROOT))
        for message in marked_in(path):
            files = found.setdefault(message, [])
            if name not in files:
                files.append(name)
    return found


def _of_template(tokens: list[Token]) -> Iterator[Message]:
    block: list[Token] | None = None
    for token in tokens:
        name = token.contents.split()[0] if token.token_type == TokenType.BLOCK and token.contents else ""
        if name == "endblocktranslate" and block:
            yield _of_block(block)
            block = None
        elif block:
            block.append(token)
        elif name == "blocktranslate":
            block = [token]
        elif name == "translate" and (match := _TRANSLATE.match(token.contents)):
            yield Message(_value(match[1]), context=_value(match[2]) if match[2] else None)
        if name or token.token_type == TokenType.VAR:
            yield from (Message(_value(text)) for text in _UNDERSCORE.findall(token.contents))


def _of_block(tokens: list[Token]) -> Message:
    head = tokens[0].contents
    texts = [""]
    for token in tokens[1:]:
        if token.token_type == TokenType.TEXT:
            texts[-1] += token.contents.replace("%", "%%")
        elif token.token_type == TokenType.VAR:
            texts[-1] += f"%({token.contents.partition('|')[0].strip()})s"
        elif token.contents == "plural":
            texts.append("")
    if " trimmed" in head:
        texts = [trim_whitespace(text) for text in texts]
    context = _CONTEXT.search(head)
    return Message(texts[0], texts[1] if texts[1:] else None, _value(context[1]) if context else None)


def _value(literal: str) -> str:
    return literal[1:-1].replace("\\" + literal[0], literal[0]).replace("\\\\", "\\")


def _of_code(path: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name = node.func.id.removesuffix("_lazy").removesuffix("_noop")
        places = _CALLS.get("gettext" if name == "_" else name)
        if places is None:
            continue
        context, text, plural = (None if place is None else _constant(node, place) for place in places)
        if text is not None:
            yield Message(text, plural, context)


def _constant(node: ast.Call, place: int) -> str | None:
    argument = node.args[place] if place < len(node.args) else None
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None
