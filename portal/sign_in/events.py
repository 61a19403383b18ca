"""Sign-in, sign-out, passwords and factors: each event has a line in the audit log and in the journal.

They come as signals of Django and allauth.
"""

from __future__ import annotations

from typing import Any, Final

from allauth.account.signals import password_changed, password_reset, password_set
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.dispatch import Signal
from django.http import HttpRequest

from portal.actions.acting import acted
from portal.audit.log import note
from portal.models import Principal, User
from portal.models.principal import UNKNOWN_CLIENT
from portal.sign_in.signing import provider_member

# By the event's name in the audit log: what the journal calls it.
_EVENTS: Final[dict[str, tuple[Signal, str]]] = {
    "sign_in": (user_logged_in, "signed in"),
    "sign_out": (user_logged_out, "signed out"),
    "password_changed": (password_changed, "password changed"),
    "password_set": (password_set, "password changed"),
    "password_reset": (password_reset, "password reset"),
}

# Of a session that an organization's provider makes.
_BY_PROVIDER: Final = {"signed in": "signed in by provider"}


def connect() -> None:
    """Connect the receivers; called once, when the app is ready."""
    for event, (signal, did) in _EVENTS.items():
        signal.connect(_receiver(event, did), weak=False, dispatch_uid=f"event:{event}")
    # Their module needs the models.
    from allauth.mfa import signals as factors

    # Using a factor is a part of signing in, so the journal has no line of its own for it.
    events = {
        "factor_added": (factors.authenticator_added, "factor added"),
        "factor_removed": (factors.authenticator_removed, "factor removed"),
        "factor_renewed": (factors.authenticator_reset, "recovery codes renewed"),
        "factor_used": (factors.authenticator_used, ""),
        "factor_refused": (factors.authentication_failed, "factor refused"),
    }
    for event, (signal, did) in events.items():
        signal.connect(_factor_receiver(event, did), weak=False, dispatch_uid=f"event:{event}")


def record_failed_sign_in(request: HttpRequest, email: str) -> None:
    """Record a wrong password in the journals of all accounts of the address.

    If only one of them had a line, its organization would know by that whether there is another one. For an unknown
    address the line goes to the portal's own journal: the time that it takes must not tell.
    """
    note("sign_in_failed", request, email=email)
    with transaction.atomic():
        for user in list(User.objects.of_address(email)) or [User(email=email.strip()[:254])]:
            acted(Principal.device(name=UNKNOWN_CLIENT), "sign-in failed", user)


def _factor_receiver(event: str, did: str) -> Any:
    def receive(sender: Any, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
        kind = authenticator.type
        note(event, request, who=user, factor=kind)
        # Recovery codes come and go with the first and last factor.
        if not did or (kind == "recovery_codes" and did in {"factor added", "factor removed"}):
            return
        by = Principal.device(name=UNKNOWN_CLIENT) if did == "factor refused" else user.principal
        with transaction.atomic():
            acted(by, did, user, details={"factor": str(authenticator) if kind == "webauthn" else kind})

    return receive


def _receiver(event: str, did: str) -> Any:
    def receive(sender: Any, request: HttpRequest | None = None, user: User | None = None, **kwargs: Any) -> None:
        member = None if request is None else provider_member(request)
        note(event, request, who=member or user)
        if member is not None:
            # It counts for that organization alone, and so does its line.
            with transaction.atomic():
                acted(member.principal, _BY_PROVIDER.get(did, did), member)
        elif user is not None:
            with transaction.atomic():
                acted(user.principal, did, user)

    return receive
