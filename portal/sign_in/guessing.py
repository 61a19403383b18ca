"""Limits for wrong passwords and codes, by the origin of an attempt.

A known device of an account has its own counter, so that strangers cannot lock its owner out; its attempts are compared
with that account. All other attempts are counted three times: by account and network together, by network over all
accounts, and by account over all networks. The last counter limits guessing from many networks. It also counts a known
device's attempts at other accounts of the address.
Codes of a second factor are asked for after the password. Whoever knows that may be a stranger, so here too a known
device has its own counter.
Counters are allauth's; the rates are in ACCOUNT_RATE_LIMITS.
"""

from __future__ import annotations

from allauth.core.internal import ratelimit
from django.http import HttpRequest

from portal.models import User
from portal.sign_in.known_devices import known_device
from portal.web.client_address import counted_as

_APP = "allauth.account"


class _Counted:
    """An attempt, counted before anything is compared."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._usages: list[ratelimit.RateLimitUsage] = []

    def _count(self, action: str, key: str) -> bool:
        usage = ratelimit.consume(self._request, app=_APP, action=action, key=key)
        if usage:
            self._usages.append(usage)
        return bool(usage)

    def succeeded(self) -> None:
        """Remove the attempt from the counters: only failures count."""
        for usage in self._usages:
            usage.rollback()


class CodeAttempt(_Counted):
    """One code of a second factor."""

    def __init__(self, request: HttpRequest, user: User) -> None:
        super().__init__(request)
        self._account = str(user.pk)
        self._device, self._known = known_device(request, [user])

    def is_allowed(self) -> bool:
        """Count the attempt, by the device if it is known, else by the account; False if the limit is reached."""
        if self._known:
            return self._count("code_device", f"{self._account} {self._device}")
        return self._count("code_account", self._account)


class Attempt(_Counted):
    """One attempt to sign in, counted before the password is compared."""

    def __init__(self, request: HttpRequest, email: str) -> None:
        super().__init__(request)
        self._email = email.strip().lower()
        accounts = User.objects.sign_in_candidates(self._email)
        self._device, self.known = known_device(request, accounts)
        # The accounts of the address that do not know the device.
        self.others = [account for account in accounts if account not in self.known]

    def is_allowed(self) -> bool:
        """Count the attempt, by the device if it is known, else as a stranger's; False if the limit is reached."""
        if self.known:
            return self._count("sign_in_device", f"{self._email} {self._device}")
        return self._is_strangers_allowed()

    def may_go_on(self) -> bool:
        """Count it as a stranger's, unless done already, before comparing with the other accounts."""
        return not self.known or self._is_strangers_allowed()

    def _is_strangers_allowed(self) -> bool:
        network = counted_as(self._request.META.get("REMOTE_ADDR", ""))
        return (
            self._count("sign_in_network", network)
            and self._count("sign_in_account_and_network", f"{self._email} {network}")
            and self._count("sign_in_account", self._email)
        )
