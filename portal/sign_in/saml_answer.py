"""The check of a SAML answer: its signature, whom it is for, until when, and whom it names.

Only the element that the signature covers is read, as signxml returns it: parsed anew from the very bytes that were
signed. Of everything else in the document, only what makes it refused is looked at.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.models import SignInProvider
from portal.models.sign_in_provider import SUBJECT_LENGTH
from portal.sign_in.oidc import ProviderFault
from portal.web.safe_xml import parse_xml, safe_parser

PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
_TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_P: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_A: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_DIGESTS: Final = ("SHA256", "SHA384", "SHA512")
# Public keys alone, as for OpenID Connect: a shared secret (HMAC) is not among them.
_METHODS: Final = tuple(form % digest for digest in _DIGESTS for form in ("RSA_%s", "ECDSA_%s", "%s_RSA_MGF1"))
# SAML Core, 5.4.4.
_TRANSFORMS: Final = frozenset(
    {
        "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    }
)
_EXCLUSIVE: Final = frozenset(one for one in _TRANSFORMS if "exc-c14n" in one)
# Of a signature's elements, namespaces in reach and prefixes to include: it is read before anything is proven.
_MOST_PARTS: Final = 100
# By which clocks may differ.
_SKEW: Final = timedelta(seconds=60)
# Of the answer in base64. Every stranger may post one, and a larger one takes long to refuse.
_MOST_LETTERS: Final = 96 * 1024
_MOST_ATTRIBUTES: Final = 200
_MOST_VALUES: Final = 1000
_LONGEST_VALUE: Final = 300


class Said(NamedTuple):
    """What a verified assertion says."""

    request: str
    assertion: str
    subject: str
    attributes: dict[str, list[str]]

    def first(self, attribute: str) -> str:
        """The first value of an attribute; "" for none."""
        return next(iter(self.attributes.get(attribute, [])), "")


def read_answer(provider: SignInProvider, encoded: str, *, back: str, me: str) -> Said:
    """Check an answer to `back`, for the entity `me`. Raises ProviderFault or XmlFault."""
    root = parse_xml(_decoded(encoded))
    _refuse_unread(root)
    request = _check_envelope(provider, root, back)
    assertion = _verified_assertion(provider, root)
    _check_issuer(provider, assertion)
    _check_conditions(assertion, me)
    _check_confirmation(assertion, request, back)
    _check_authentication(assertion)
    return Said(request, assertion.get("ID"), _subject(provider, assertion, me), _attributes(assertion))


def _decoded(encoded: str) -> str:
    if len(encoded) > _MOST_LETTERS:
        raise ProviderFault(_("The provider's answer is too long."))
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode()
    except ValueError:
        raise ProviderFault(_("The provider's answer is not text in base64.")) from None


def _refuse_unread(root: Any) -> None:
    """Refuse what hides text from one reader and shows it to another, and what the portal cannot open."""
    from lxml import etree

    beside = [*root.itersiblings(), *root.itersiblings(preceding=True)]
    if beside or next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise ProviderFault(_("The provider's answer has comments, which are not taken."))
    if next(root.iter(f"{_A}EncryptedAssertion", f"{_A}EncryptedID", f"{_A}EncryptedAttribute"), None) is not None:
        raise ProviderFault(_("The provider encrypts its answer. Switch that off there: the portal has no key."))


def _check_envelope(provider: SignInProvider, root: Any, back: str) -> str:
    """Check the response around the assertion; return the ID of the request that it says to answer."""
    if root.tag != f"{_P}Response" or root.get("Version") != "2.0":
        raise ProviderFault(_("This is no answer of SAML 2.0."))
    status = root.find(f"{_P}Status/{_P}StatusCode")
    if status is None or status.get("Value") != _SUCCESS:
        raise ProviderFault(_("The provider did not sign you in."))
    is_signed = root.find(f"{_DS}Signature") is not None
    if root.get("Destination", None if is_signed else back) != back:
        raise ProviderFault(_("The answer is for another address."))
    if root.find(f"{_A}Issuer") is not None:
        _check_issuer(provider, root)
    request = root.get("InResponseTo")
    if not request:
        raise ProviderFault(_("Nobody asked for this answer. Begin on the portal's sign-in page."))
    return str(request)


def _verified_assertion(provider: SignInProvider, root: Any) -> Any:
    """The one assertion, as it was signed: by itself, or with the whole response."""
    found = list(root.iter(f"{_A}Assertion"))
    if len(found) != 1 or found[0].getparent() is not root:
        raise ProviderFault(_("The provider's answer must have exactly one assertion."))
    signatures = list(root.iter(f"{_DS}Signature"))
    of_assertion = [one for one in signatures if one.getparent() is found[0]]
    of_response = [one for one in signatures if one.getparent() is root]
    if len(of_assertion) > 1 or len(of_response) > 1 or len(of_assertion) + len(of_response) != len(signatures):
        raise ProviderFault(_("The provider's answer has a signature at a wrong place."))
    if not found[0].get("ID"):
        raise ProviderFault(_("The assertion has no ID."))
    if not signatures:
        raise ProviderFault(_("The provider's answer is not signed."))
    if of_response:
        verified = _verified(provider, root, of_response[0], "./").find(f"{_A}Assertion")
    if of_assertion:
        verified = _verified(provider, root, of_assertion[0], f"./{_A}Assertion/")
    if verified is None:
        raise ProviderFault(_("The provider's answer must have exactly one assertion."))
    return verified


def _verified(provider: SignInProvider, root: Any, signature: Any, place: str) -> Any:
    """The element that a signature at `place` covers: the very one that it stands in."""
    from lxml import etree
    from signxml.exceptions import SignXMLException

    if any("sha1" in (one.get("Algorithm") or "").lower() for one in signature.iter()):
        raise ProviderFault(_("The provider signs with SHA-1, which is not safe. Choose SHA-256 there."))
    _refuse_slow(signature)
    document = etree.tostring(root)
    inside = signature.getparent()
    faults = (SignXMLException, etree.LxmlError, UnsupportedAlgorithm, ValueError, TypeError, LookupError)
    for certificate in _valid_now(provider):
        try:
            found = _signed_part(document, certificate, place)
        except (*faults, AttributeError, NotImplementedError, AssertionError):
            continue
        if found is not None and (found.tag, found.get("ID")) == (inside.tag, inside.get("ID")):
            return found
    raise ProviderFault(_("The provider's answer is not signed by a certificate of its metadata."))


def _refuse_slow(signature: Any) -> None:
    """Refuse a signature that SAML does not have: inclusive canonicalization of 35 kB took 10 s."""
    transforms = {one.get("Algorithm") for one in signature.iter(f"{_DS}Transform")}
    methods = {one.get("Algorithm") for one in signature.iter(f"{_DS}CanonicalizationMethod")}
    parts = list(islice(signature.iter(), _MOST_PARTS + 1))
    is_large = len(parts) > _MOST_PARTS or any(len(one.nsmap) > _MOST_PARTS for one in parts)
    prefixes = sum(len(one.get("PrefixList", "").split()) for one in parts)
    is_plain = transforms <= _TRANSFORMS and transforms & _EXCLUSIVE and methods <= _EXCLUSIVE
    if not is_plain or is_large or prefixes > _MOST_PARTS or len(list(signature.iter(f"{_DS}Reference"))) != 1:
        raise ProviderFault(_("The provider's signature changes the answer in a way that SAML does not allow."))


def _signed_part(document: bytes, certificate: x509.Certificate, place: str) -> Any:
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    expected = SignatureConfiguration(
        location=place,
        expect_references=1,
        signature_methods=frozenset(SignatureMethod[name] for name in _METHODS),
        digest_algorithms=frozenset(DigestAlgorithm[name] for name in _DIGESTS),
    )
    checked = XMLVerifier().verify(
        document, x509_cert=certificate, id_attribute="ID", parser=safe_parser(), expect_config=expected
    )
    return None if isinstance(checked, list) else checked.signed_xml


def _valid_now(provider: SignInProvider) -> list[x509.Certificate]:
    loaded = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in provider.certificates]
    now = timezone.now()
    found = [one for one in loaded if one.not_valid_before_utc <= now < one.not_valid_after_utc]
    if not found:
        raise ProviderFault(_("The certificates of the provider have expired. Enter its new metadata."))
    return found


def _check_issuer(provider: SignInProvider, element: Any) -> None:
    found = element.findall(f"{_A}Issuer")
    if len(found) != 1 or _text(found[0]) != provider.issuer:
        raise ProviderFault(_("The answer is of another issuer."))


def _check_conditions(assertion: Any, me: str) -> None:
    found = assertion.findall(f"{_A}Conditions")
    if len(found) != 1:
        raise ProviderFault(_("The answer has no conditions."))
    _check_times(found[0])
    known = {f"{_A}AudienceRestriction", f"{_A}OneTimeUse", f"{_A}ProxyRestriction"}
    if any(one.tag not in known for one in found[0]):
        raise ProviderFault(_("The answer has a condition that the portal does not know."))
    audiences = [[_text(one) for one in each] for each in found[0].findall(f"{_A}AudienceRestriction")]
    if not audiences or not all(me in each for each in audiences):
        raise ProviderFault(_("The answer is for another service: its audience must be %s.") % me)


def _check_confirmation(assertion: Any, request: str, back: str) -> None:
    """One bearer must be for this address and this request, and still count (Profiles, 4.1.4.2)."""
    place = f"{_A}Subject/{_A}SubjectConfirmation[@Method='{_BEARER}']/{_A}SubjectConfirmationData"
    found = assertion.findall(place)
    if not found:
        raise ProviderFault(_("The answer does not say for whom it is."))
    for data in found:
        if data.get("Recipient") != back:
            raise ProviderFault(_("The answer is for another address."))
        if data.get("InResponseTo") != request:
            raise ProviderFault(_("The answer belongs to another sign-in."))
        if data.get("NotOnOrAfter") is None:
            raise ProviderFault(_("The answer does not say until when it counts."))
        _check_times(data)


def _check_authentication(assertion: Any) -> None:
    found = assertion.findall(f"{_A}AuthnStatement")
    if not found:
        raise ProviderFault(_("The provider did not sign you in."))
    for statement in found:
        until = statement.get("SessionNotOnOrAfter")
        if until is not None and _time(until) <= timezone.now():
            raise ProviderFault(_("The sign-in at the provider has ended."))


def _check_times(element: Any) -> None:
    now = timezone.now()
    begins, ends = element.get("NotBefore"), element.get("NotOnOrAfter")
    if begins is not None and _time(begins) > now + _SKEW:
        raise ProviderFault(_("The answer does not count yet. Check the clocks."))
    if ends is not None and _time(ends) <= now - _SKEW:
        raise ProviderFault(_("The provider's answer has expired. Check the clocks."))


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except ValueError:
        raise ProviderFault(_("The answer has a time that is none.")) from None


def _subject(provider: SignInProvider, assertion: Any, me: str) -> str:
    found = assertion.findall(f"{_A}Subject/{_A}NameID")
    if len(found) != 1:
        raise ProviderFault(_("The answer names nobody."))
    form = found[0].get("Format", "")
    if form == _TRANSIENT:
        raise ProviderFault(
            _("The provider names the person anew at each sign-in (transient). Set its name ID to persistent there.")
        )
    if form != PERSISTENT:
        raise ProviderFault(_("The provider's name ID is not persistent. Set its format to persistent there."))
    if found[0].get("NameQualifier", provider.issuer) != provider.issuer or found[0].get("SPNameQualifier", me) != me:
        raise ProviderFault(_("The name ID is of another provider, or for another service."))
    subject = _text(found[0])
    if not 0 < len(subject) <= SUBJECT_LENGTH or not subject.isprintable():
        raise ProviderFault(_("The answer names nobody."))
    return subject


def _attributes(assertion: Any) -> dict[str, list[str]]:
    """The texts of each attribute, by its name."""
    found: dict[str, list[str]] = {}
    for one in assertion.findall(f"{_A}AttributeStatement/{_A}Attribute"):
        name = (one.get("Name") or "")[:_LONGEST_VALUE]
        if name in found or len(found) < _MOST_ATTRIBUTES:
            found.setdefault(name, []).extend(_plain_texts(one.findall(f"{_A}AttributeValue")))
    return {name: values[:_MOST_VALUES] for name, values in found.items()}


def _plain_texts(values: Iterable[Any]) -> list[str]:
    """What is longer than any name, or no text, counts for nothing."""
    texts = [(one.text or "").strip() for one in values if len(one) == 0]
    return [text for text in texts if 0 < len(text) <= _LONGEST_VALUE and text.isprintable()]


def _text(element: Any) -> str:
    """The whole text of an element, without XML's own white space; with anything in between, it has none."""
    return (element.text or "").strip(" \t\r\n") if len(element) == 0 else ""
