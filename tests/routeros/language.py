"""The part of RouterOS's scripting language that the profiles use, read strictly; anything else is refused.

Written from the manual's page on scripting (lines, strings and their escapes, brackets, `where`), not from the code
under test: what this reads is what a router would read, as far as the manual tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "$": "$", "?": "?", "_": " "}
TOKEN = re.compile(
    r"""(?P<space>[ \t]+)|(?P<newline>\n)|(?P<comment>\#[^\n]*)|(?P<string>")|(?P<punctuation>[\[\](){};])|"""
    r"""(?P<word>[A-Za-z0-9_./:,+@*-]+(?:=(?=[^\s=]))?|:[a-z]+)|(?P<operator>!=|=|~|>|<)"""
)


class ScriptError(Exception):
    """The router would refuse this."""


@dataclass(frozen=True)
class Token:
    """A piece of a script; `kind` is string, word, key (a word with `=` after it), operator, punctuation, end."""

    kind: str
    text: str


@dataclass(frozen=True)
class Literal:
    """A value as it stands."""

    text: str


@dataclass(frozen=True)
class Property:
    """In a condition: the value that an object has."""

    name: str


@dataclass(frozen=True)
class Binary:
    """Two expressions and what stands between them."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Command:
    """A command with its positional arguments, its properties, and its condition."""

    words: tuple[str, ...]
    arguments: tuple[Expression, ...] = ()
    properties: tuple[tuple[str, Expression], ...] = ()
    where: Expression | None = None
    blocks: tuple[tuple[str, tuple[Command, ...]], ...] = ()


Expression = Literal | Property | Binary | Command


def tokens(script: str) -> list[Token]:
    """The pieces of a script. Comments stand at the beginning of a line."""
    found: list[Token] = []
    position = 0
    while position < len(script):
        match = TOKEN.match(script, position)
        if match is None:
            raise ScriptError(f"unexpected {script[position]!r}")
        kind, text, position = str(match.lastgroup), match.group(), match.end()
        if kind == "string":
            text, position = _string(script, position)
            found.append(Token("string", text))
        elif kind == "comment":
            if found and found[-1].kind != "end":
                raise ScriptError("a comment within a line")
        elif kind == "newline":
            found.append(Token("end", ""))
        elif kind == "word" and text.endswith("="):
            found.append(Token("key", text[:-1]))
        elif kind != "space":
            found.append(Token(kind, text))
    return [*found, Token("end", "")]


def _string(script: str, position: int) -> tuple[str, int]:
    raw = bytearray()
    while True:
        if position >= len(script) or script[position] == "\n":
            raise ScriptError("a string without an end")
        character = script[position]
        position += 1
        if character == '"':
            return raw.decode("utf-8"), position
        if character == "$":
            raise ScriptError("a variable in a string")
        if character == "?":
            raise ScriptError("a question mark asks the console for help")
        if not (character.isascii() and character.isprintable()):
            raise ScriptError(f"{character!r} in a string")
        if character != "\\":
            raw += character.encode()
        elif re.match("[0-9A-F]{2}", script[position : position + 2]):
            raw.append(int(script[position : position + 2], 16))
            position += 2
        elif script[position : position + 1] in ESCAPES:
            raw += ESCAPES[script[position]].encode()
            position += 1
        else:
            raise ScriptError("an unknown escape")


class Parser:
    """Reads commands from tokens."""

    def __init__(self, script: str) -> None:
        self.tokens = tokens(script)
        self.position = 0

    def script(self) -> list[Command]:
        """All the commands, one a line."""
        commands = []
        while self.position < len(self.tokens):
            if self.peek.kind == "end":
                self.position += 1
                continue
            commands.append(self.command())
            self.expect("end", "")
        return commands

    @property
    def peek(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else Token("end", "")

    def next(self) -> Token:
        token = self.peek
        self.position += 1
        return token

    def expect(self, kind: str, text: str) -> None:
        token = self.next()
        if (token.kind, token.text) != (kind, text):
            raise ScriptError(f"{text or 'the end of the line'} expected, not {token.text!r}")

    def command(self) -> Command:
        """One command, up to the end of its line, block or bracket."""
        first = self.next()
        if first.kind != "word":
            raise ScriptError(f"a command expected, not {first.text!r}")
        if first.text == ":if":
            return self.condition()
        words, where = [first.text], None
        arguments: list[Expression] = []
        properties: list[tuple[str, Expression]] = []
        while self.peek.kind in {"word", "string", "key"} or self.peek == Token("punctuation", "["):
            token = self.peek
            if token.kind == "key":
                self.next()
                if token.text in dict(properties):
                    raise ScriptError(f"{token.text} twice")
                properties.append((token.text, self.value()))
            elif token == Token("word", "where"):
                self.next()
                where = self.expression()
            elif token.kind == "word" and not arguments and not properties and where is None:
                words.append(self.next().text)
            else:
                arguments.append(self.value())
        return Command(tuple(words), tuple(arguments), tuple(properties), where)

    def condition(self) -> Command:
        test = self.value()
        blocks = []
        while self.peek.kind == "key" and self.peek.text in {"do", "else"}:
            name = self.next().text
            self.expect("punctuation", "{")
            commands = [self.command()]
            while self.peek.text == ";":
                self.next()
                commands.append(self.command())
            self.expect("punctuation", "}")
            blocks.append((name, tuple(commands)))
        return Command((":if",), (test,), blocks=tuple(blocks))

    def value(self) -> Expression:
        """A word, a string, a command in brackets, or an expression in parentheses."""
        token = self.next()
        if token.kind in {"word", "string"}:
            return Literal(token.text)
        if token.text == "[":
            command = self.command()
            self.expect("punctuation", "]")
            return command
        if token.text == "(":
            inner = self.expression()
            self.expect("punctuation", ")")
            return inner
        raise ScriptError(f"a value expected, not {token.text!r}")

    def expression(self) -> Expression:
        left = self.conjunction()
        while self.peek == Token("word", "or"):
            self.next()
            left = Binary("or", left, self.conjunction())
        return left

    def conjunction(self) -> Expression:
        left = self.comparison()
        while self.peek == Token("word", "and"):
            self.next()
            left = Binary("and", left, self.comparison())
        return left

    def comparison(self) -> Expression:
        token = self.peek
        if token.kind == "key":  # name=value, written without a space
            self.next()
            return Binary("=", Property(token.text), self.value())
        left = self.value()
        if self.peek.kind == "operator":
            operator = self.next().text
            name = Property(left.text) if isinstance(left, Literal) and operator == "~" else left
            return Binary(operator, name, self.value())
        return left
