"""Signatures of SAML answers: forged, wrapped and missing ones, and documents that are no plain answers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from portal.models import Membership, SignInProvider
from tests.portal.providers import connected
from tests.portal.saml_providers import (
    AUDIENCE,
    DATA,
    DS,
    GO,
    NAME,
    SAML,
    SAMLP,
    BentSaml,
    a_key,
    asked_by,
    fault_of,
    metadata_of,
    posted,
    refusal,
    setting,
    writing,
)

pytestmark = pytest.mark.django_db


# Signatures -----------------------------------------------------------------------------------------------------------


def test_an_answer_without_a_signature_is_refused(bent: BentSaml, known: Membership) -> None:
    bent.signs = "nothing"
    assert "is not signed" in refusal(bent)


def test_an_answer_of_another_key_is_refused(bent: BentSaml, known: Membership) -> None:
    bent.key = a_key("other")
    for signs in ("assertion", "response", "both"):
        bent.signs = signs
        assert "not signed by a certificate of its metadata" in refusal(bent)


def test_an_expired_certificate_signs_nothing(bent: BentSaml, known: Membership) -> None:
    old = a_key("old", days=-1)
    SignInProvider.objects.update(certificates=[old.body])
    bent.key = old
    assert "have expired" in refusal(bent)
    SignInProvider.objects.update(certificates=[old.body, a_key().body])
    assert "not signed by a certificate" in refusal(bent)
    bent.key = a_key()
    assert bent.sign_in(Client())["Location"] == "/my/", "the valid one of two"


@pytest.mark.parametrize(("method", "digest"), [("rsa-sha1", "sha256"), ("rsa-sha256", "sha1")])
def test_sha_1_is_refused(bent: BentSaml, known: Membership, method: str, digest: str) -> None:
    bent.method, bent.digest = method, digest
    assert "SHA-1" in refusal(bent)


def test_a_signature_with_a_shared_secret_is_refused(bent: BentSaml, known: Membership) -> None:
    """HMAC with the text of the public certificate as its secret."""

    def bend(root: Any) -> None:
        root.find(f".//{{{DS}}}SignatureMethod").set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")

    bent.after = bend
    assert "not signed by a certificate" in refusal(bent)


def test_other_transforms_are_refused(bent: BentSaml, known: Membership) -> None:
    bent.after = setting(f".//{{{DS}}}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116")
    assert "does not allow" in refusal(bent)


def inclusive(signature: Any) -> None:
    """Inclusive canonicalization searches each namespace at each element: 35 kB took 10 s, before any key was used."""
    method = signature.find(f".//{{{DS}}}CanonicalizationMethod")
    method.set("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")


def many_namespaces(signature: Any) -> None:
    """At one element."""
    from lxml import etree

    place = signature.find(f".//{{{DS}}}DigestMethod")
    etree.SubElement(place, "{urn:x}x", nsmap={f"n{number}": "urn:x" for number in range(200)})


def many_parts(signature: Any) -> None:
    """Elements that no signature has."""
    from lxml import etree

    for number in range(200):
        etree.SubElement(signature.find(f".//{{{DS}}}DigestMethod"), f"{{urn:x}}x{number}")


def many_prefixes(signature: Any) -> None:
    """Each is searched at each element."""
    from lxml import etree

    place, name = (
        signature.find(f".//{{{DS}}}Transform"),
        "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces",
    )
    etree.SubElement(place, name, PrefixList=" ".join(f"n{number}" for number in range(200)))


def many_references(signature: Any) -> None:
    """The whole document is copied for each."""
    reference = signature.find(f".//{{{DS}}}Reference")
    reference.addnext(copy.deepcopy(reference))


def no_exclusive_transform(signature: Any) -> None:
    """What is signed would be canonicalized inclusively."""
    transforms = signature.find(f".//{{{DS}}}Transforms")
    for one in transforms[1:]:
        transforms.remove(one)


@pytest.mark.parametrize(
    "bend",
    [inclusive, many_namespaces, many_parts, many_prefixes, many_references, no_exclusive_transform],
)
@pytest.mark.parametrize("signs", ["assertion", "response"])
def test_a_signature_that_takes_long_is_refused_before_it_is_checked(
    bent: BentSaml, known: Membership, bend: Callable[[Any], None], signs: str
) -> None:
    bent.signs, bent.after = signs, lambda root: bend(root.find(f".//{{{DS}}}Signature"))
    assert "does not allow" in refusal(bent)


def test_a_key_in_the_answer_signs_nothing(bent: BentSaml, known: Membership) -> None:
    """KeyInfo names the attacker's own certificate: only the metadata's count."""
    bent.key = a_key("evil")
    assert "not signed by a certificate" in refusal(bent)


@pytest.mark.parametrize(
    "after",
    [
        writing(NAME, "berta"),
        writing(AUDIENCE, "https://x"),
        setting(DATA, NotOnOrAfter="2999-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("signs", ["assertion", "response"])
def test_what_was_changed_after_signing_is_refused(
    bent: BentSaml, known: Membership, after: Callable[[Any], None], signs: str
) -> None:
    bent.signs, bent.after = signs, after
    assert "not signed by a certificate" in refusal(bent)


def test_a_signature_of_another_document_of_the_provider_counts_for_nothing(bent: BentSaml, known: Membership) -> None:
    """The provider signs its metadata, requests for logout and others, too."""
    from lxml import etree

    metadata = etree.fromstring(metadata_of().replace("<!-- made by a provider -->", "").encode())
    metadata.set("ID", "meta")
    signed = bent.signed(metadata)
    bent.signs = "nothing"

    def bend(root: Any) -> None:
        root.find(f"{SAML}Assertion").insert(1, signed.find(f"{{{DS}}}Signature"))
        root.append(signed)

    bent.after = bend
    assert "not signed by a certificate" in refusal(bent)


# Signature wrapping (Somorovsky et al., On Breaking SAML, 2012) -------------------------------------------------------


def evil_of(assertion: Any) -> Any:
    """A copy that names another person, without a signature."""
    evil = copy.deepcopy(assertion)
    evil.set("ID", "evil")
    evil.find(f"{SAML}Subject/{SAML}NameID").text = "victim"
    for signature in evil.findall(f"{{{DS}}}Signature"):
        evil.remove(signature)
    return evil


def xsw_sibling_before(root: Any) -> None:
    """The forged one stands before the signed one."""
    signed = root.find(f"{SAML}Assertion")
    signed.addprevious(evil_of(signed))


def xsw_sibling_after(root: Any) -> None:
    """The forged one stands behind the signed one."""
    signed = root.find(f"{SAML}Assertion")
    signed.addnext(evil_of(signed))


def xsw_parent(root: Any) -> None:
    """The forged one has the signed one inside."""
    signed = root.find(f"{SAML}Assertion")
    evil = evil_of(signed)
    root.replace(signed, evil)
    evil.append(signed)


def xsw_in_signature(root: Any) -> None:
    """The forged one takes the signature, which has the signed one inside."""
    from lxml import etree

    signed = root.find(f"{SAML}Assertion")
    evil, signature = evil_of(signed), signed.find(f"{{{DS}}}Signature")
    root.replace(signed, evil)
    evil.insert(1, signature)
    etree.SubElement(signature, f"{{{DS}}}Object").append(signed)


def xsw_in_extensions(root: Any) -> None:
    """The signed one hides where no schema looks."""
    from lxml import etree

    signed = root.find(f"{SAML}Assertion")
    evil = evil_of(signed)
    evil.insert(1, copy.deepcopy(signed.find(f"{{{DS}}}Signature")))
    root.replace(signed, evil)
    etree.SubElement(root, f"{SAMLP}Extensions").append(signed)


def xsw_same_id(root: Any) -> None:
    """Both have the ID that the signature names."""
    signed = root.find(f"{SAML}Assertion")
    evil = evil_of(signed)
    evil.set("ID", signed.get("ID"))
    signed.addprevious(evil)


def xsw_renamed(root: Any) -> None:
    """The signed one stands in another element; the forged one has its signature."""
    from lxml import etree

    signed = root.find(f"{SAML}Assertion")
    evil = evil_of(signed)
    root.replace(signed, evil)
    evil.insert(1, copy.deepcopy(signed.find(f"{{{DS}}}Signature")))
    box = etree.SubElement(root, "Box", ID=signed.get("ID"))
    box.extend(list(signed))


def naively_valid(document: bytes) -> bool:
    """True if any signature in the document is valid: where a careless reader stops, to read the first assertion."""
    from cryptography import x509
    from signxml.exceptions import SignXMLException
    from signxml.verifier import XMLVerifier

    certificate = x509.load_pem_x509_certificate(a_key().certificate)
    try:
        XMLVerifier().verify(document, x509_cert=certificate, validate_schema=False)
    except SignXMLException:
        return False
    return True


@pytest.mark.parametrize(
    "wrap",
    [
        xsw_sibling_before,
        xsw_sibling_after,
        xsw_parent,
        xsw_in_signature,
        xsw_in_extensions,
        xsw_same_id,
        xsw_renamed,
    ],
)
def test_a_wrapped_assertion_is_refused(
    bent: BentSaml, provider: SignInProvider, member: Membership, wrap: Callable[[Any], None]
) -> None:
    connected(provider, member, "victim")
    bent.after = wrap
    browser = Client()
    asked = asked_by(browser, GO)
    document = bent.document(asked)
    # Whatever is damaged or ambiguous is refused by signxml itself.
    naive = {xsw_sibling_before, xsw_sibling_after, xsw_parent}
    assert naively_valid(document) or wrap not in naive
    fault = fault_of(posted(browser, asked.back, document, asked.state), browser)
    assert "exactly one" in fault or wrap is xsw_renamed


def xsw_response(root: Any) -> None:
    """The signed response hides in a forged one."""
    from lxml import etree

    signed = copy.deepcopy(root)
    root.set("ID", "evil")
    assertion = root.find(f"{SAML}Assertion")
    root.replace(assertion, evil_of(assertion))
    etree.SubElement(root.find(f"{{{DS}}}Signature"), f"{{{DS}}}Object").append(signed)


def xsw_response_extended(root: Any) -> None:
    """The signed response is an extension of a forged one that has its signature."""
    from lxml import etree

    signed = copy.deepcopy(root)
    signed.remove(signed.find(f"{{{DS}}}Signature"))
    root.set("ID", "evil")
    assertion = root.find(f"{SAML}Assertion")
    root.replace(assertion, evil_of(assertion))
    etree.SubElement(root, f"{SAMLP}Extensions").append(signed)


@pytest.mark.parametrize("wrap", [xsw_response, xsw_response_extended, xsw_sibling_before, xsw_sibling_after])
def test_a_wrapped_response_is_refused(
    bent: BentSaml, provider: SignInProvider, member: Membership, wrap: Callable[[Any], None]
) -> None:
    connected(provider, member, "victim")
    bent.signs, bent.after = "response", wrap
    assert refusal(bent)


# Documents that are no plain answers ----------------------------------------------------------------------------------


def test_a_comment_in_the_name_is_refused(bent: BentSaml, provider: SignInProvider, member: Membership) -> None:
    """Canonicalization leaves comments out, so the signature stays valid (CVE-2017-11427 and others)."""
    connected(provider, member, "victim")
    bent.subject = "victim.evil.example"
    browser = Client()
    asked = asked_by(browser, GO)
    for cut in (b"victim<!-- -->.evil.example", b"victim<?x?>.evil.example"):
        document = bent.document(asked).replace(b"victim.evil.example", cut)
        assert cut in document
        assert naively_valid(document) == (b"<!--" in cut)
        asked_again = asked_by(browser, GO)
        answer = posted(browser, asked.back, document, asked_again.state)
        assert "has comments" in fault_of(answer, browser)


@pytest.mark.parametrize("place", [b"<!--x-->%s", b"%s<!--x-->", b"<?x y?>%s"])
def test_a_comment_beside_the_answer_is_refused(bent: BentSaml, known: Membership, place: bytes) -> None:
    browser = Client()
    asked = asked_by(browser, GO)
    assert "has comments" in fault_of(posted(browser, asked.back, place % bent.document(asked), asked.state), browser)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', "document type"),
        ('<!DOCTYPE r SYSTEM "https://evil.example/x.dtd"><r/>', "document type"),
        ('<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><r b="&b;"/>', "document type"),
        ("<r>&x;</r>", "not XML"),
        ("<r", "not XML"),
        ("", "not XML"),
        ("<a>" * 5000 + "</a>" * 5000, "not XML"),
        ("<a>\x00</a>", "not XML"),
        ("<a xmlns:x='http://www.w3.org/2001/XInclude'/>", "no answer of SAML 2.0"),
        ('<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE r+AD4-<r/>', "not XML"),
        ('<?xml version="1.0" encoding="UTF-16"?><r/>', "no answer of SAML 2.0"),
        ("<!DOCTYPE r []><r/>".encode("utf-16"), "not text in base64"),
        (b"\xff\xfe\x00", "not text in base64"),
        ("<a>" + "x" * 200_000 + "</a>", "too long"),
    ],
)
def test_what_is_no_plain_document_is_refused(provider: SignInProvider, document: str | bytes, fault: str) -> None:
    browser = Client()
    asked = asked_by(browser, GO)
    assert fault in fault_of(posted(browser, asked.back, document, asked.state), browser)


def test_a_document_type_around_a_signed_answer_is_refused(bent: BentSaml, known: Membership) -> None:
    browser = Client()
    asked = asked_by(browser, GO)
    document = b'<!DOCTYPE x [<!ENTITY who "victim">]>' + bent.document(asked)
    assert "document type" in fault_of(posted(browser, asked.back, document, asked.state), browser)


def test_a_huge_post_is_refused_before_it_is_read(provider: SignInProvider) -> None:
    answer = Client().post(f"/accounts/provider/saml/{provider.pk}/", {"SAMLResponse": "A" * 3_000_000})
    assert answer.status_code in {400, 413}


def test_an_encrypted_answer_is_refused_with_a_sentence(bent: BentSaml, known: Membership) -> None:
    from lxml import etree

    bent.after = lambda root: etree.SubElement(root, f"{SAML}EncryptedAssertion")
    assert "the portal has no key" in refusal(bent)
