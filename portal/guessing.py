"""How often a password may be wrong, by what the attempt comes from.

A device that is known for the account is counted alone, so that no stranger can shut its owner out. Everything else is
counted three times: by account and network together, by network over all accounts, and by account over all networks.
The last one bounds guessing from many networks at once. Counters are allauth's; the rates are in ACCOUNT_RATE_LIMITS.
"""

from __future__ import annotations

from allauth.core.internal import ratelimit
from django.http import HttpRequest

from portal.client_address import counted_as
from portal.known_devices import known_device

_APP = "allauth.account"


class Attempt:
    """One attempt to sign in, counted before the password is looked at."""

    def __init__(self, request: HttpRequest, email: str) -> None:
        self._request = request
        self._usages: list[ratelimit.RateLimitUsage] = []
        account = email.strip().lower()
        network = counted_as(request.META.get("REMOTE_ADDR", ""))
        if device := known_device(request, account):
            self._counters = {"sign_in_device": f"{account} {device}"}
        else:
            self._counters = {
                "sign_in_network": network,
                "sign_in_account_and_network": f"{account} {network}",
                "sign_in_account": account,
            }

    def is_allowed(self) -> bool:
        """Count it; False where one counter is full."""
        for action, key in self._counters.items():
            usage = ratelimit.consume(self._request, app=_APP, action=action, key=key)
            if not usage:
                return False
            self._usages.append(usage)
        return True

    def succeeded(self) -> None:
        """Only what failed stays counted."""
        for usage in self._usages:
            usage.rollback()
