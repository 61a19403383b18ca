"""What the metadata of a SAML identity provider says (SAML 2.0 Metadata). An admin pastes it; nothing is fetched."""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.web.safe_xml import XmlFault, parse_xml

PROTOCOL: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
REDIRECT: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
PAGE_LENGTH: Final = 500
_ISSUER_LENGTH: Final = 300
_MOST_CERTIFICATES: Final = 5
_RSA_BITS: Final = range(2048, 8193)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MD: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"


class ProviderMetadata(NamedTuple):
    """The provider's entity ID, its page for HTTP-Redirect, and its certificates (DER in base64)."""

    issuer: str
    page: str
    certificates: list[str]


def read_metadata(text: str) -> ProviderMetadata:
    """Read it. Raises XmlFault."""
    root = parse_xml(text.strip().removeprefix("\ufeff"), keeps_comments=False)
    found = [one for one in root.iter(f"{_MD}EntityDescriptor") if one.find(f"{_MD}IDPSSODescriptor") is not None]
    if len(found) != 1:
        raise XmlFault(_("Enter the metadata of one identity provider; here are %s.") % len(found))
    issuer, role = (found[0].get("entityID") or "").strip(), found[0].find(f"{_MD}IDPSSODescriptor")
    if not 0 < len(issuer) <= _ISSUER_LENGTH or not issuer.isprintable():
        raise XmlFault(_("The metadata has no usable entity ID."))
    if PROTOCOL not in (role.get("protocolSupportEnumeration") or "").split():
        raise XmlFault(_("The provider does not speak SAML 2.0."))
    if role.get("WantAuthnRequestsSigned") in {"true", "1"}:
        raise XmlFault(_("The provider wants signed requests. Switch that off there; the portal signs none."))
    return ProviderMetadata(issuer, _page(role), _certificates(role))


def _page(role: Any) -> str:
    pages = [one.get("Location") or "" for one in role.findall(f"{_MD}SingleSignOnService[@Binding='{REDIRECT}']")]
    if not pages:
        raise XmlFault(_("The provider offers no sign-in by HTTP-Redirect."))
    try:
        parts = urlsplit(pages[0])
        is_address = bool(parts.hostname) and parts.port != 0 and parts.username is None and not parts.fragment
    except ValueError:
        is_address = False
    if not is_address or len(pages[0]) > PAGE_LENGTH or not pages[0].isprintable() or set(pages[0]) & set(' \\"<>'):
        raise XmlFault(_("The provider's sign-in page is not a web address."))
    if parts.scheme != "https":
        raise XmlFault(_("The provider's sign-in page must begin with https://."))
    return pages[0]


def _certificates(role: Any) -> list[str]:
    """The certificates of keys that sign."""
    keys = [one for one in role.findall(f"{_MD}KeyDescriptor") if one.get("use", "signing") == "signing"]
    texts = ["".join(one.itertext()) for key in keys for one in key.iter(f"{_DS}X509Certificate")]
    found = list(dict.fromkeys("".join(text.split()) for text in texts))
    if not found:
        raise XmlFault(_("The metadata has no certificate to check signatures with."))
    if len(found) > _MOST_CERTIFICATES:
        raise XmlFault(_("The metadata has more than %s certificates.") % _MOST_CERTIFICATES)
    now = timezone.now()
    if all(loaded.not_valid_after_utc <= now for loaded in map(_usable, found)):
        raise XmlFault(_("Every certificate of the metadata has expired."))
    return found


def _usable(text: str) -> x509.Certificate:
    """A certificate whose key is safe, and quick to use."""
    try:
        found = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise XmlFault(_("A certificate of the metadata is damaged.")) from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return found
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return found
    raise XmlFault(_("A key of the metadata is too weak or unknown: use RSA with 2048 bits or more, or P-256."))
