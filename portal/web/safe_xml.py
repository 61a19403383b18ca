"""Reads XML of strangers: no document types, no entities, no network, and a limit of size.

lxml and signxml are the optional extra `saml`. They are imported at first use, so that a portal whose organizations
use no SAML needs neither them nor the memory for them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from django.utils.translation import gettext as _

MOST_LETTERS: Final = 256 * 1024


class XmlFault(Exception):
    """It is not read; the text is a sentence for an admin."""


@cache
def is_installed() -> bool:
    """Return True if this portal has the extra `saml`."""
    return all(find_spec(name) is not None for name in ("lxml", "signxml"))


def safe_parser(*, keeps_comments: bool = True) -> Any:
    """A parser that expands nothing and reads nothing else. Its encoding is ours, whatever the document says."""
    from lxml import etree

    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=not keeps_comments,
        remove_pis=not keeps_comments,
    )


def parse_xml(text: str, *, keeps_comments: bool = True) -> Any:
    """The root element of a document. Raises XmlFault."""
    if not is_installed():
        raise XmlFault(_("This portal has no SAML: its operator has not installed it."))
    from lxml import etree

    if len(text) > MOST_LETTERS:
        raise XmlFault(_("The document is too long."))
    # Before any parser sees it: what a parser refuses it may have expanded already.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise XmlFault(_("The document has a document type or entities, which are not read."))
    try:
        return etree.fromstring(text.encode(), safe_parser(keeps_comments=keeps_comments))
    except (etree.XMLSyntaxError, ValueError):
        raise XmlFault(_("The document is not XML.")) from None
