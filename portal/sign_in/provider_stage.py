"""The sign-in stage that tells an organization's provider from other means."""

from __future__ import annotations

from allauth.account.stages import LoginStage

from portal.sign_in.signing import IDENTITY


class ProviderStage(LoginStage):  # type: ignore[misc]  # allauth ships no types
    """The last stage: it runs in the request that makes the session."""

    key = "portal_provider"

    def handle(self) -> tuple[None, bool]:
        """Note the identity for `AccountAdapter.login`."""
        self.request._signing_identity = self.login.state.get(IDENTITY, "")  # noqa: SLF001
        return None, True
