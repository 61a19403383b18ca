"""SAML identity providers for tests: pysaml2's, and documents that a test bends before they are signed.

pysaml2 signs with the program xmlsec1, so the portal's check (signxml) meets signatures of another kind.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.test import Client

from portal.actions.sign_in_provider import note_trial, save_saml_provider, switch_provider
from portal.models import JournalEntry, Organization, SignInProvider
from portal.told import in_words
from tests.factories import BY

# Pages of the portal.
GO = "/sign-in/acme/go/"
CONFIRM = "/accounts/provider/confirm/"
TRY = "/settings/sign-in/try/"
IDP = "https://idp.example.com/metadata"
PAGE = "https://idp.example.com/sso"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
_P = "urn:oasis:names:tc:SAML:2.0:protocol"
_A = "urn:oasis:names:tc:SAML:2.0:assertion"
# In the spelling of lxml.
SAML = f"{{{_A}}}"
SAMLP = f"{{{_P}}}"
NAME = f"{SAML}Assertion/{SAML}Subject/{SAML}NameID"
DATA = f"{SAML}Assertion/{SAML}Subject/{SAML}SubjectConfirmation/{SAML}SubjectConfirmationData"
CONDITIONS = f"{SAML}Assertion/{SAML}Conditions"
AUDIENCE = f"{CONDITIONS}/{SAML}AudienceRestriction/{SAML}Audience"
DS = "http://www.w3.org/2000/09/xmldsig#"


@dataclass(frozen=True)
class Key:
    """A key with its certificate, as PEM."""

    private: bytes
    certificate: bytes

    @property
    def body(self) -> str:
        """The certificate as metadata has it."""
        return "".join(self.certificate.decode().splitlines()[1:-1])


@cache
def a_key(name: str = "one", days: int = 30, bits: int = 2048) -> Key:
    """A self-signed one, as providers have it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=days)
    built = x509.CertificateBuilder(subject, subject, key.public_key(), 1, end - timedelta(days=400), end)
    certificate = built.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Key(private, certificate.public_bytes(serialization.Encoding.PEM))


def metadata_of(key: Key | None = None, *, issuer: str = IDP, page: str = PAGE, more: str = "") -> str:
    """What a provider gives to an admin."""
    body = (key or a_key()).body
    return (
        '<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'entityID="{issuer}"><!-- made by a provider --><md:IDPSSODescriptor {more} '
        f'protocolSupportEnumeration="{_P}"><md:KeyDescriptor use="signing">'
        f'<ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{body}</ds:X509Certificate></ds:X509Data>'
        "</ds:KeyInfo></md:KeyDescriptor>"
        f'<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{page}"/>'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


def a_saml_provider(
    organization: Organization,
    *,
    key: Key | None = None,
    enabled: bool = True,
    mapping: tuple[str, ...] = (),
    **values: Any,
) -> SignInProvider:
    """A provider that was set up, tried and switched on."""
    columns: dict[str, Any] = {
        "name": "Acme account",
        "mail_attribute": MAIL,
        "name_attribute": "displayName",
        "groups_claim": "groups" if mapping else "",
        "may_join": False,
        "domains": ["example.org"],
        "is_second_factor": False,
    }
    provider = save_saml_provider(
        organization, by=BY, values=columns | values, metadata=metadata_of(key), mapping=mapping
    )
    if enabled:
        note_trial(provider, by=BY)
        switch_provider(provider, enabled=True, by=BY)
    return SignInProvider.objects.get(pk=provider.pk)


def pysaml2_server(folder: Path, metadata: str, key: Key | None = None) -> Any:
    """pysaml2 as the identity provider, which has read the portal's metadata."""
    from saml2.config import IdPConfig
    from saml2.server import Server

    key = key or a_key()
    paths = {"key": folder / "idp.key", "cert": folder / "idp.pem", "portal": folder / "portal.xml"}
    paths["key"].write_bytes(key.private)
    paths["cert"].write_bytes(key.certificate)
    paths["portal"].write_text(metadata)
    settings = {
        "entityid": IDP,
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "key_file": str(paths["key"]),
        "cert_file": str(paths["cert"]),
        "metadata": {"local": [str(paths["portal"])]},
        "service": {
            "idp": {
                "endpoints": {"single_sign_on_service": [(PAGE, "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect")]},
                "policy": {"default": {"lifetime": {"minutes": 15}, "attribute_restrictions": None}},
            }
        },
    }
    return Server(config=IdPConfig().load(settings))


@dataclass
class Asked:
    """A request of the portal, as it leaves with the browser."""

    identifier: str
    state: str
    back: str
    me: str


def asked_of(address: str) -> Asked:
    """The request in the address of the provider's page."""
    from lxml import etree

    query = parse_qs(urlsplit(address).query)
    root = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
    issuer = root.findtext(f"{{{_A}}}Issuer")
    return Asked(root.get("ID"), query["RelayState"][0], root.get("AssertionConsumerServiceURL"), issuer)


def asked_by(browser: Client, begin: str) -> Asked:
    """Begin a sign-in."""
    return asked_of(browser.get(begin)["Location"])


def encoded(document: str | bytes) -> str:
    """As a form has it."""
    return base64.b64encode(document.encode() if isinstance(document, str) else document).decode()


def posted(browser: Client, back: str, document: str | bytes, state: str) -> Any:
    """What the provider's page does: post from another site, so without cookies; then the browser follows."""
    form = {"SAMLResponse": encoded(document), "RelayState": state}
    answer = Client(enforce_csrf_checks=True).post(urlsplit(back).path, form)
    return browser.get(answer["Location"]) if answer.status_code == 302 else answer


Bend = Callable[[Any], None]


def _leave_it(root: Any) -> None:
    """Bend nothing."""


@dataclass
class BentSaml:
    """Builds answers whose parts a test bends; `after` bends the document that is signed already."""

    subject: str = "anna"
    form: str = PERSISTENT
    attributes: dict[str, list[str]] = field(default_factory=lambda: {MAIL: ["anna@example.org"]})
    issuer: str = IDP
    key: Key = field(default_factory=a_key)
    minutes: int = 5
    signs: str = "assertion"
    method: str = "rsa-sha256"
    digest: str = "sha256"
    before: Bend = _leave_it
    after: Bend = _leave_it

    def document(self, asked: Asked) -> bytes:
        """The answer, as XML."""
        from lxml import etree

        root = etree.fromstring(self._text(asked))
        self.before(root)
        if self.signs in {"assertion", "both"}:
            assertion = root.find(f"{{{_A}}}Assertion")
            root.replace(assertion, self.signed(assertion))
        if self.signs in {"response", "both"}:
            root = self.signed(root)
        self.after(root)
        found: bytes = etree.tostring(root)
        return found

    def signed(self, element: Any) -> Any:
        """The element with a signature inside."""
        from lxml import etree
        from signxml.algorithms import CanonicalizationMethod
        from signxml.signer import XMLSigner

        class AnySigner(XMLSigner):
            def check_deprecated_methods(self) -> None:
                """Allow SHA-1: it must be the portal that refuses it."""

        # With the usual prefix: lxml renames others when it moves an element, and that breaks the signature.
        place = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS}, Id="placeholder")
        element.insert(1, place)
        signer = AnySigner(
            signature_algorithm=self.method,
            digest_algorithm=self.digest,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        return signer.sign(
            element, key=self.key.private, cert=self.key.certificate.decode(), reference_uri=element.get("ID")
        )

    def sign_in(self, browser: Client, begin: str = GO) -> Any:
        """Go there and come back; the answer of the portal."""
        asked = asked_by(browser, begin)
        return posted(browser, asked.back, self.document(asked), asked.state)

    def _text(self, asked: Asked) -> str:
        now = datetime.now(UTC)
        end = f"{now + timedelta(minutes=self.minutes):%Y-%m-%dT%H:%M:%SZ}"
        begin = f"{now + timedelta(minutes=self.minutes - 10):%Y-%m-%dT%H:%M:%SZ}"
        attributes = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )
        return (
            f'<samlp:Response xmlns:samlp="{_P}" xmlns:saml="{_A}" ID="r-{now.timestamp()}" Version="2.0" '
            f'IssueInstant="{begin}" Destination="{asked.back}" InResponseTo="{asked.identifier}">'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>"
            '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>'
            f'<saml:Assertion ID="a-{now.timestamp()}" Version="2.0" IssueInstant="{begin}">'
            f"<saml:Issuer>{self.issuer}</saml:Issuer><saml:Subject>"
            f'<saml:NameID Format="{self.form}">{self.subject}</saml:NameID>'
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
            f'<saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient="{asked.back}" '
            f'InResponseTo="{asked.identifier}"/></saml:SubjectConfirmation></saml:Subject>'
            f'<saml:Conditions NotBefore="{begin}" NotOnOrAfter="{end}"><saml:AudienceRestriction>'
            f"<saml:Audience>{asked.me}</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
            f'<saml:AuthnStatement AuthnInstant="{begin}"><saml:AuthnContext><saml:AuthnContextClassRef>'
            "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>"
            f"</saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement>"
            "</saml:Assertion></samlp:Response>"
        )


def fault_of(answer: Any, browser: Client | None = None) -> str:
    """Why nobody is signed in, as the journal has it."""
    assert answer.status_code == 403
    if browser is not None:
        assert "_auth_user_id" not in browser.session
        assert "provider_arrival" not in browser.session
    line = JournalEntry.objects.order_by("id").last()
    assert line is not None
    assert line.code == "signinprovider.sign-in_refused"
    return in_words(line.details["fault"])


def refusal(bent: BentSaml) -> str:
    """Why the answer signs in nobody."""
    browser = Client()
    return fault_of(bent.sign_in(browser), browser)


def setting(path: str, **attributes: str | None) -> Callable[[Any], None]:
    """Set, or remove, attributes of each element at a path."""

    def bend(root: Any) -> None:
        found = root.findall(path) if path else [root]
        assert found
        for element in found:
            for name, value in attributes.items():
                if value is None:
                    del element.attrib[name]
                else:
                    element.set(name, value)

    return bend


def writing(path: str, text: str) -> Callable[[Any], None]:
    """Set the text of the element at a path."""

    def bend(root: Any) -> None:
        root.find(path).text = text

    return bend


def removing(path: str) -> Callable[[Any], None]:
    """Remove the element at a path."""

    def bend(root: Any) -> None:
        element = root.find(path)
        element.getparent().remove(element)

    return bend
