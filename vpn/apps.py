"""The vpn app: instances, peers, sites."""

from django.apps import AppConfig


class VpnConfig(AppConfig):
    """Configuration of the vpn app; connects the receivers of the portal's signals."""

    name = "vpn"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the receivers of signals about members and groups."""
        from vpn import receivers  # noqa: F401 - needs the app registry
