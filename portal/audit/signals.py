"""Audit lines for sign-in, sign-out, passwords and second factors, from signals of Django and allauth."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import Signal
from django.http import HttpRequest

from portal.audit.log import note
from portal.models import User

_EVENTS: dict[str, Signal] = {
    "sign_in": user_logged_in,
    "sign_out": user_logged_out,
    "password_changed": password_changed,
    "password_reset": password_reset,
}


def connect() -> None:
    """Connect the receivers; called once, when the app is ready."""
    for event, signal in _EVENTS.items():
        signal.connect(_receiver(event), weak=False, dispatch_uid=f"audit:{event}")
    # Its module needs the models.
    from allauth.mfa import signals as factors

    events: dict[str, Signal] = {
        "factor_added": factors.authenticator_added,
        "factor_removed": factors.authenticator_removed,
        "factor_renewed": factors.authenticator_reset,
        "factor_used": factors.authenticator_used,
        "factor_refused": factors.authentication_failed,
    }
    for event, signal in events.items():
        signal.connect(_factor_receiver(event), weak=False, dispatch_uid=f"audit:{event}")


def _factor_receiver(event: str) -> Any:
    def receive(sender: Any, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
        note(event, request, who=user, factor=authenticator.type)

    return receive


def _receiver(event: str) -> Any:
    def receive(sender: Any, request: HttpRequest | None = None, user: User | None = None, **kwargs: Any) -> None:
        note(event, request, who=user)

    return receive
