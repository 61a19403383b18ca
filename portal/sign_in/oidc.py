"""OpenID Connect: discovery, the authorization code flow with PKCE, and the check of the ID token.

OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636 (PKCE), RFC 9207 (issuer in the answer). PyJWT checks
signatures; everything is read by portal.web.public_fetch.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from django.conf import settings
from django.core.cache import cache
from django.utils import translation

from portal.models import SignInProvider
from portal.told import Told, in_words, told
from portal.web.public_fetch import FetchFault, fetch, in_turn, why_unreadable

# Seconds for which a discovery document and keys are used again.
_KEPT: Final = 600
# Seconds by which clocks may differ.
_LEEWAY: Final = 60
# By kind of key: a shared secret (HS256) and "none" are not among them, whatever the token's header says.
_ALGORITHMS: Final = {
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "EC": ["ES256", "ES384", "ES512"],
    "OKP": ["EdDSA"],
}
_KNOWN: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)
# What makes a public key, by its kind. Private parts are left out: by them, PyJWT would factor a modulus of any size.
_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
# Letters of one part: 8192 bits in base64.
_LONGEST_PART: Final = 1366
_CODE: Final = re.compile(r"[a-z_]{1,40}")


class ProviderFault(Exception):
    """The provider signs in nobody, for a reason as rows keep it (portal.told); the text is a sentence for an admin."""

    def __init__(self, why: Told | str) -> None:
        # A sentence is English where it may be journaled (`in_english`), so it can be put into any language later.
        self.why = told("sentence", text=why) if isinstance(why, str) else why
        super().__init__(self.why)

    def __str__(self) -> str:
        """The sentence in the active language."""
        return in_words(self.why)


def in_english() -> AbstractContextManager[None]:
    """Let sentences of faults be English: the journal keeps them, and the visitor reads them in their own language."""
    return translation.override(settings.LANGUAGE_CODE)


@dataclass(frozen=True)
class Metadata:
    """What a provider's discovery document says."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    posts_secret: bool


def discover(provider: SignInProvider, *, anew: bool = False) -> Metadata:
    """The provider's endpoints. Raises ProviderFault."""
    document = _kept(provider, "metadata", f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration", anew=anew)
    if document.get("issuer") != provider.issuer:
        said = printable(str(document.get("issuer", ""))[:200])
        raise ProviderFault(told("provider-other-issuer", issuer=said))
    if "code" not in _texts(document.get("response_types_supported", ["code"])):
        raise ProviderFault(told("provider-no-code-flow"))
    if not _KNOWN.intersection(_texts(document.get("id_token_signing_alg_values_supported", ["RS256"]))):
        raise ProviderFault(told("provider-no-algorithm"))
    methods = _texts(document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]))
    if not {"client_secret_basic", "client_secret_post"}.intersection(methods):
        raise ProviderFault(told("provider-no-secret"))
    return Metadata(
        **{name: _endpoint(document, name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")},
        userinfo_endpoint=_endpoint(document, "userinfo_endpoint") if document.get("userinfo_endpoint") else "",
        posts_secret="client_secret_basic" not in methods,
    )


def authorization_url(
    provider: SignInProvider, back: str, *, state: str, nonce: str, verifier: str, anew: bool = False
) -> str:
    """Where the browser signs in; with `anew`, by what the provider says now. Raises ProviderFault."""
    digest = hashlib.sha256(verifier.encode()).digest()
    scopes = dict.fromkeys(["openid", "email", "profile", *provider.scopes.split()])
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": back,
        "scope": " ".join(scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    page = discover(provider, anew=anew).authorization_endpoint
    return f"{page}{'&' if urlsplit(page).query else '?'}{urlencode(query)}"


def claims_of_code(provider: SignInProvider, code: str, back: str, *, nonce: str, verifier: str) -> dict[str, Any]:
    """Exchange the code; return what the ID token says, completed by the userinfo endpoint. Raises ProviderFault."""
    metadata = discover(provider)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
    headers = {}
    if metadata.posts_secret:
        form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
    else:
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    status, answer = _read(provider, metadata.token_endpoint, form=form, headers=headers)
    if status != 200 or not isinstance(answer.get("id_token"), str):
        raise ProviderFault(told("provider-refused-client", said=_said(answer, status)))
    claims = verified_claims(provider, answer["id_token"], nonce=nonce)
    return _completed(provider, metadata, claims, answer.get("access_token"))


def verified_claims(provider: SignInProvider, token: str, *, nonce: str) -> dict[str, Any]:
    """What an ID token says, if this provider signed it for this client and this sign-in. Raises ProviderFault."""
    import jwt

    try:
        key = _key_of(provider, jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=_ALGORITHMS[key.key_type],
            audience=provider.client_id,
            issuer=provider.issuer,
            leeway=_LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.ExpiredSignatureError:
        raise ProviderFault(told("provider-token-expired")) from None
    except jwt.InvalidIssuerError:
        raise ProviderFault(told("provider-token-issuer")) from None
    except jwt.InvalidAudienceError:
        raise ProviderFault(told("provider-token-client")) from None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError):
        raise ProviderFault(told("provider-token-signature")) from None
    _check_further(provider, claims, nonce)
    return claims


def _check_further(provider: SignInProvider, claims: dict[str, Any], nonce: str) -> None:
    said = claims.get("nonce")
    if not isinstance(said, str) or not said.isascii() or not hmac.compare_digest(said, nonce):
        raise ProviderFault(told("provider-token-nonce"))
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp", provider.client_id if len(audiences) == 1 else None)
    if party != provider.client_id:
        raise ProviderFault(told("provider-token-client"))
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255 or not claims["sub"].isprintable():
        raise ProviderFault(told("provider-token-nobody"))


def _key_of(provider: SignInProvider, header: dict[str, Any]) -> Any:
    """The provider's key that a token's header names; keys are read again once if there is none."""
    import jwt

    uri = discover(provider).jwks_uri
    for anew in (False, True):
        found = []
        for one in _kept(provider, "keys", uri, anew=anew).get("keys") or []:
            if not isinstance(one, dict) or one.get("kty") not in _ALGORITHMS or one.get("use", "sig") != "sig":
                continue
            if header.get("kid") in {None, one.get("kid")}:
                found.append(one)
        if len(found) == 1:
            return jwt.PyJWK(_public_key(found[0]))
    raise ValueError("no key")


def _public_key(key: dict[str, Any]) -> dict[str, str]:
    """The public parts of a key, as JSON Web Key. Raises ValueError for none, and for one that takes long to use."""
    parts = {name: key[name] for name in _PUBLIC[key["kty"]]}
    if not all(isinstance(part, str) and 0 < len(part) <= _LONGEST_PART for part in parts.values()):
        raise ValueError("no public key")
    return {"kty": key["kty"], **parts}


def _completed(provider: SignInProvider, metadata: Metadata, claims: dict[str, Any], access: Any) -> dict[str, Any]:
    """Add what only the userinfo endpoint says; it must be about the same subject (OpenID Connect Core, 5.3.2)."""
    wanted = {"email", *([provider.groups_claim.partition(".")[0]] if provider.groups_claim else [])}
    if wanted <= claims.keys() or not metadata.userinfo_endpoint or not isinstance(access, str):
        return claims
    if not access.isascii() or not access.isprintable():
        return claims
    status, more = _read(provider, metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access}"})
    if status != 200 or more.get("sub") != claims["sub"]:
        raise ProviderFault(told("provider-no-userinfo"))
    if more.get("email") != claims.get("email", more.get("email")):
        # It has verified another address than the token names.
        more.pop("email_verified", None)
    return {**more, **claims}


def _kept(provider: SignInProvider, what: str, url: str, *, anew: bool) -> dict[str, Any]:
    name = f"provider:{provider.pk}:{what}:{hashlib.sha256(url.encode()).hexdigest()[:32]}"
    found = None if anew else cache.get(name)
    if not isinstance(found, dict):
        status, found = _read(provider, url)
        if status != 200:
            raise ProviderFault(told("provider-not-found", url=url, status=status))
        cache.set(name, found, _KEPT)
    return found


def _read(provider: SignInProvider, url: str, **how: Any) -> tuple[int, dict[str, Any]]:
    try:
        with in_turn(str(provider.organization_id)):
            return fetch(url, **how)
    except FetchFault as fault:
        raise ProviderFault(fault.why) from fault


def _endpoint(document: dict[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not url:
        raise ProviderFault(told("provider-no-endpoint", name=name))
    if fault := why_unreadable(url):
        raise ProviderFault(told("provider-endpoint", name=name, why=fault))
    return url


def printable(text: str) -> str:
    """The text without what neither a page nor a database takes: control characters, halves of surrogate pairs."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _said(answer: dict[str, Any], status: int) -> str:
    """The error of an answer, as far as it is a code of RFC 6749."""
    error = answer.get("error")
    return error if isinstance(error, str) and _CODE.fullmatch(error) else str(status)
