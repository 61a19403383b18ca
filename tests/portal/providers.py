"""Sign-in providers for tests: a real one on loopback, and one whose every answer a test can bend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from portal.actions.provider_identity import Arrival, connect_identity
from portal.actions.sign_in_provider import note_trial, save_provider, switch_provider
from portal.models import Membership, Organization, ProviderIdentity, SignInProvider
from portal.web.public_fetch import Answer
from tests.factories import BY

ISSUER = "https://login.example.com"
CLIENT = "the-portal"
SECRET = "a client secret of the provider"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def a_provider(
    organization: Organization,
    *,
    issuer: str = ISSUER,
    enabled: bool = True,
    mapping: tuple[str, ...] = (),
    **values: Any,
) -> SignInProvider:
    """A provider that was set up, tried and switched on."""
    columns: dict[str, Any] = {
        "name": "Acme account",
        "issuer": issuer,
        "client_id": CLIENT,
        "scopes": "",
        "groups_claim": "groups" if mapping else "",
        "may_join": False,
        "domains": [],
        "is_second_factor": False,
    }
    provider = save_provider(organization, by=BY, values=columns | values, secret=SECRET, mapping=mapping)
    if enabled:
        note_trial(provider, by=BY)
        switch_provider(provider, enabled=True, by=BY)
    return SignInProvider.objects.get(pk=provider.pk)


def connected(provider: SignInProvider, member: Membership, subject: str = "anna") -> ProviderIdentity:
    """Connect a member, who has confirmed it."""
    arrival = Arrival(provider=str(provider.pk), issuer=provider.issuer, subject=subject)
    return connect_identity(member, provider, arrival, by=member.principal)


@dataclass
class BentProvider:
    """Answers in place of portal.web.public_fetch; `claims` and the rest bend what it says."""

    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"kid": "one"})
    algorithm: str = "RS256"
    signing_key: Any = _KEY
    discovery: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    userinfo: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    nonce: str = ""

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The key set."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def fetch(self, url: str, *, form: Mapping[str, str] | None = None, headers: Any = None) -> Answer:
        """What the address answers."""
        self.asked.append((url, form or headers))
        if url in self.answers:
            return self.answers[url]
        documents = {
            f"{ISSUER}/.well-known/openid-configuration": {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
                "userinfo_endpoint": f"{ISSUER}/userinfo",
                "response_types_supported": ["code"],
                **self.discovery,
            },
            f"{ISSUER}/keys": self.keys,
            f"{ISSUER}/userinfo": {"sub": "anna", **self.userinfo},
        }
        if url == f"{ISSUER}/token":
            return Answer(200, {"id_token": self.token(), "access_token": "access"})
        return Answer(200, documents[url]) if url in documents else Answer(404, {})

    def token(self) -> str:
        """The ID token."""
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "sub": "anna",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "anna@example.org",
            "email_verified": True,
            "groups": [],
        }
        claims = {name: value for name, value in (said | self.claims).items() if value is not None}
        return jwt.encode(claims, self.signing_key, algorithm=self.algorithm, headers=self.header)


def sign_in_by(bent: BentProvider, browser: Client, begin: str) -> Any:
    """Go to the provider and come back; the answer of the portal."""
    page = browser.get(begin)["Location"]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    bent.nonce = asked["nonce"]
    answer: Any = browser.get(urlsplit(asked["redirect_uri"]).path, {"code": "c0de", "state": asked["state"]})
    return answer


@contextmanager
def real_provider() -> Iterator[str]:
    """The package oidc-provider-mock on loopback; gives its issuer. It checks redirect, code and client by authlib."""
    from oidc_provider_mock import app  # type: ignore[import-untyped]
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def allow_at_real(page: str, subject: str) -> str:
    """Sign in on the page of the real provider; the path that it sends the browser back to."""
    answer = requests.post(page, {"sub": subject}, allow_redirects=False, timeout=10)
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"
