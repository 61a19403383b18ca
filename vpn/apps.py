"""The vpn app: instances, peers, sites."""

from django.apps import AppConfig


class VpnConfig(AppConfig):
    """Configuration of the vpn app; connects the receivers of the portal's signals."""

    name = "vpn"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the receivers of signals about members and groups, and the words of what rows keep."""
        from portal.told import register
        from vpn import receivers  # noqa: F401 - needs the app registry
        from vpn.presenters.findings import told_finding
        from vpn.told import CHANGES, MOVE_REFUSALS, STEPS, SUMMARIES

        register({**CHANGES, **MOVE_REFUSALS, **STEPS, **SUMMARIES, "finding": told_finding})
