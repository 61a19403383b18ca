"""How often a password may be wrong, by what the attempt comes from.

A device that is known for an account is counted alone, so that no stranger can shut its owner out, and its guesses are
compared with that account. Everything else is counted three times: by account and network together, by network over all
accounts, and by account over all networks. The last one bounds guessing from many networks at once. So are a known
device's guesses at the other accounts of the address: who is known for one must not be free to guess at another.
Counters are allauth's; the rates are in ACCOUNT_RATE_LIMITS.
"""

from __future__ import annotations

from allauth.core.internal import ratelimit
from django.http import HttpRequest

from portal.models import User
from portal.sign_in.known_devices import known_device
from portal.web.client_address import counted_as

_APP = "allauth.account"


class Attempt:
    """One attempt to sign in, counted before a password is looked at."""

    def __init__(self, request: HttpRequest, email: str) -> None:
        self._request = request
        self._email = email.strip().lower()
        self._usages: list[ratelimit.RateLimitUsage] = []
        accounts = User.objects.sign_in_candidates(self._email)
        self._device, self.known = known_device(request, accounts)
        # The accounts of the address that the device is not known for.
        self.others = [account for account in accounts if account not in self.known]

    def is_allowed(self) -> bool:
        """Count it by the device where that is known for an account, else as a stranger's; False: it may not go on."""
        if self.known:
            return self._count("sign_in_device", f"{self._email} {self._device}")
        return self._is_strangers_allowed()

    def may_go_on(self) -> bool:
        """Count it as a stranger's, unless it was: from here on it is a guess at the other accounts."""
        return not self.known or self._is_strangers_allowed()

    def _is_strangers_allowed(self) -> bool:
        network = counted_as(self._request.META.get("REMOTE_ADDR", ""))
        return (
            self._count("sign_in_network", network)
            and self._count("sign_in_account_and_network", f"{self._email} {network}")
            and self._count("sign_in_account", self._email)
        )

    def _count(self, action: str, key: str) -> bool:
        usage = ratelimit.consume(self._request, app=_APP, action=action, key=key)
        if usage:
            self._usages.append(usage)
        return bool(usage)

    def succeeded(self) -> None:
        """Only what failed stays counted."""
        for usage in self._usages:
            usage.rollback()
