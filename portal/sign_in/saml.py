"""SAML 2.0 as a service provider: the request by HTTP-Redirect, the portal's metadata, and the answer by HTTP-POST.

SAML 2.0 Core, Bindings and Profiles (Web Browser SSO). The portal has no key: requests are not signed, and encrypted
assertions are not read.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import zlib
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

from django.core.cache import cache
from django.utils.translation import gettext as _

from portal.models import SignInProvider
from portal.sign_in.oidc import ProviderFault, in_english
from portal.sign_in.saml_answer import PERSISTENT, Said, read_answer
from portal.web.safe_xml import XmlFault, is_installed
from portal.web.saml_metadata import PROTOCOL

_POST: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
# Seconds between the answer's arrival and the visit of the browser, which is sent on at once.
_WAITS: Final = 120
# Seconds for which an assertion is known as used: longer than a sign-in may take.
_REMEMBERED: Final = 3600
_LONGEST_STATE: Final = 100


def request_url(provider: SignInProvider, back: str, me: str, *, state: str, nonce: str) -> str:
    """Where the browser signs in. Raises ProviderFault."""
    if not is_installed():
        raise ProviderFault(_("This portal has no SAML: its operator has not installed it."))
    if not provider.issuer:
        raise ProviderFault(_("Enter the metadata of the provider first."))
    request = (
        f'<samlp:AuthnRequest xmlns:samlp="{PROTOCOL}" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" '
        f'ID={quoteattr(request_id(nonce))} Version="2.0" IssueInstant="{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" '
        f"Destination={quoteattr(provider.sign_in_page)} AssertionConsumerServiceURL={quoteattr(back)} "
        f'ProtocolBinding="{_POST}"><saml:Issuer>{escape(me)}</saml:Issuer>'
        f'<samlp:NameIDPolicy Format="{PERSISTENT}" AllowCreate="true"/></samlp:AuthnRequest>'
    )
    deflate = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(deflate.compress(request.encode()) + deflate.flush()).decode()
    query = urlencode({"SAMLRequest": packed, "RelayState": state})
    return f"{provider.sign_in_page}{'&' if urlsplit(provider.sign_in_page).query else '?'}{query}"


def request_id(nonce: str) -> str:
    """The ID of a request: an XML name begins with no digit."""
    return f"_{nonce}"


def own_metadata(back: str, me: str) -> str:
    """The portal's metadata for a provider."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID={quoteattr(me)}>\n'
        '  <md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" '
        f'protocolSupportEnumeration="{PROTOCOL}">\n'
        f"    <md:NameIDFormat>{PERSISTENT}</md:NameIDFormat>\n"
        f'    <md:AssertionConsumerService Binding="{_POST}" Location={quoteattr(back)} index="0" isDefault="true"/>\n'
        "  </md:SPSSODescriptor>\n"
        "</md:EntityDescriptor>\n"
    )


def keep_answer(provider: SignInProvider, answer: str, state: str, *, back: str, me: str) -> dict[str, str]:
    """Check an answer that a provider's page posted, and keep what it says until the browser visits; how it asks.

    The post comes from another site, so it has no session: only that visit can tell who began the sign-in.
    """
    with in_english():
        kept = _checked(provider, answer, back=back, me=me)
    key = secrets.token_urlsafe(32)
    cache.set(_name(provider, "answer", key), kept, _WAITS)
    return {"answer": key, "state": state if len(state) <= _LONGEST_STATE else ""}


def _checked(provider: SignInProvider, answer: str, *, back: str, me: str) -> dict[str, Any]:
    try:
        said = read_answer(provider, answer, back=back, me=me)
        if not cache.add(_name(provider, "used", said.assertion), 1, _REMEMBERED):
            return {"fault": _("This answer was used before.")}
        return {"request": said.request, "claims": _claims(provider, said)}
    except (ProviderFault, XmlFault) as fault:
        return {"fault": str(fault)}


def take_answer(provider: SignInProvider, key: str, *, nonce: str) -> dict[str, Any]:
    """What the kept answer says, once, if it answers this request. Raises ProviderFault."""
    name = _name(provider, "answer", key)
    kept = cache.get(name)
    # Of two visits at once, only one deletes it.
    if not isinstance(kept, dict) or not cache.delete(name):
        raise ProviderFault(_("The provider's answer is not there any more. Begin again."))
    if "fault" in kept:
        raise ProviderFault(kept["fault"])
    if kept["request"] != request_id(nonce):
        raise ProviderFault(_("The answer belongs to another sign-in."))
    claims: dict[str, Any] = kept["claims"]
    return claims


def _claims(provider: SignInProvider, said: Said) -> dict[str, Any]:
    """As an ID token has them. An address counts in the domains that the admin named: nothing else proves it."""
    address = said.first(provider.mail_attribute)
    return {
        "sub": said.subject,
        "email": address,
        "email_verified": address.lower().rpartition("@")[2] in provider.domains,
        "name": said.first(provider.name_attribute),
        "groups": said.attributes.get(provider.groups_claim, []),
        "attributes": list(said.attributes),
    }


def _name(provider: SignInProvider, what: str, key: str) -> str:
    return f"saml:{provider.pk}:{what}:{hashlib.sha256(key.encode()).hexdigest()}"
