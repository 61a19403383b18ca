"""A finding: a difference on the server, or the reason of a refusal, as a code that the portal puts into words.

It contains no sentence: only the agent's component, the code (`vpn.wire.codes`), and the subject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypedDict

LONGEST_SUBJECT: Final = 80
_COMPONENT: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,47}")
# The characters of networks, ids, interfaces, ports, programs and file names. No spaces: a subject is never prose.
_SUBJECT: Final = re.compile(rf"[A-Za-z0-9._:/@+=?*-]{{0,{LONGEST_SUBJECT}}}")
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._:/@+=?*-]")


class FindingDocument(TypedDict):
    """A finding in JSON."""

    component: str
    code: str
    subject: str


@dataclass(frozen=True)
class Finding:
    """A finding; `subject` is a network, an id, an interface, a port or a name, never a secret; "" for none."""

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
    """A code of one component, from which findings are made."""

    component: str
    name: str

    def of(self, subject: object = "") -> Finding:
        """Return a finding about `subject`. Invalid characters become question marks."""
        return Finding(self.component, self.name, _UNUSUAL.sub("?", str(subject))[:LONGEST_SUBJECT])


class FindingInvalidError(ValueError):
    """A document that is not a valid finding."""


def parse_finding(document: object) -> Finding:
    """Return the finding that `document` (untrusted JSON data) describes; raises FindingInvalidError.

    Its code may be unknown here, because the agent may be newer.
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
