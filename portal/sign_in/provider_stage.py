"""The sign-in stage that tells an organization's provider from other means."""

from __future__ import annotations

from allauth.account.stages import LoginStage
from django.http import HttpResponse

from portal.models import ProviderIdentity
from portal.sign_in.signing import IDENTITY


class ProviderStage(LoginStage):  # type: ignore[misc]  # allauth ships no types
    """The last stage: it runs in the request that makes the session."""

    key = "portal_provider"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """Note the identity for `AccountAdapter.login`; end the sign-in if it stopped to count meanwhile."""
        identity = self.login.state.get(IDENTITY, "")
        if identity and not ProviderIdentity.objects.usable().filter(pk=identity).exists():
            return self.abort(), False
        self.request._signing_identity = identity  # noqa: SLF001
        return None, True
