"""Lines of the journal on sign-in, sign-out, passwords and factors, in each organization of the account."""

from __future__ import annotations

from typing import Any, Final

from allauth.account.signals import password_changed, password_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.dispatch import Signal
from django.http import HttpRequest

from portal.actions.acting import acted
from portal.models import Principal, User

_DID: Final[dict[str, Signal]] = {
    "signed in": user_logged_in,
    "signed out": user_logged_out,
    "password changed": password_changed,
    "password reset": password_reset,
}


def connect() -> None:
    """Connect the receivers; called once, when the app is ready."""
    for did, signal in _DID.items():
        signal.connect(_receiver(did), weak=False, dispatch_uid=f"journal:{did}")
    # Their module needs the models.
    from allauth.mfa import signals as factors

    events = {
        "factor added": factors.authenticator_added,
        "factor removed": factors.authenticator_removed,
        "recovery codes renewed": factors.authenticator_reset,
        "factor refused": factors.authentication_failed,
    }
    for did, signal in events.items():
        signal.connect(_factor_receiver(did), weak=False, dispatch_uid=f"journal:{did}")


def record_failed_sign_in(email: str) -> None:
    """Record a wrong password, whether there is an account of the address or not.

    For an unknown address the line goes to the portal's own journal: the time that it takes must not tell.
    """
    user = User.objects.of_address(email).first() or User(email=email.strip()[:254])
    with transaction.atomic():
        acted(Principal.device(name="an unknown client"), "sign-in failed", user)


def _factor_receiver(did: str) -> Any:
    def receive(sender: Any, user: User, authenticator: Any, **kwargs: Any) -> None:
        kind = authenticator.type
        # Recovery codes come and go with the first and last factor.
        if kind == "recovery_codes" and did in {"factor added", "factor removed"}:
            return
        by = Principal.device(name="an unknown client") if did == "factor refused" else user.principal
        with transaction.atomic():
            acted(by, did, user, details={"factor": str(authenticator) if kind == "webauthn" else kind})

    return receive


def _receiver(did: str) -> Any:
    def receive(sender: Any, request: HttpRequest | None = None, user: User | None = None, **kwargs: Any) -> None:
        if user is not None:
            with transaction.atomic():
                acted(user.principal, did, user)

    return receive
