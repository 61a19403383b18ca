"""The project's own app: accounts, organizations, members."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Configuration of the portal app."""

    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"
