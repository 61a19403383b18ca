"""A finding: what differs on the server, or why the agent refused, as a code that the portal puts into words.

No sentence travels: a finding names the component of the agent, the code (`vpn.wire.codes`), and what it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypedDict

LONGEST_SUBJECT: Final = 80
_COMPONENT: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,47}")
# What networks, ids, interfaces, ports, programs and file names are written with. No spaces: it is never prose.
_SUBJECT: Final = re.compile(rf"[A-Za-z0-9._:/@+=?*-]{{0,{LONGEST_SUBJECT}}}")
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._:/@+=?*-]")


class FindingDocument(TypedDict):
    """A finding as it travels, and as it is stored."""

    component: str
    code: str
    subject: str


@dataclass(frozen=True)
class Finding:
    """What was found: `subject` is a network, an id, an interface, a port or a name, never a secret; "" for none."""

    component: str
    code: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.component}: {self.code}" + (f" ({self.subject})" if self.subject else "")

    def document(self) -> FindingDocument:
        """Return the finding as JSON data."""
        return {"component": self.component, "code": self.code, "subject": self.subject}


@dataclass(frozen=True)
class Code:
    """One kind of finding, of one component."""

    component: str
    name: str

    def of(self, subject: object = "") -> Finding:
        """Return the finding about `subject`. Characters that a subject cannot have become question marks."""
        return Finding(self.component, self.name, _UNUSUAL.sub("?", str(subject))[:LONGEST_SUBJECT])


class FindingInvalidError(ValueError):
    """A finding that makes no sense."""


def parse_finding(document: object) -> Finding:
    """Return the finding that `document` (untrusted JSON data) describes; raises FindingInvalidError.

    Its code may be one that this side does not know: the other side may be newer.
    """
    if not isinstance(document, dict):
        raise FindingInvalidError("a finding is an object")
    return Finding(
        _text(document, "component", _COMPONENT), _text(document, "code", _CODE), _text(document, "subject", _SUBJECT)
    )


def _text(document: dict[Any, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise FindingInvalidError(f"the {name} of a finding is malformed")
    return value
