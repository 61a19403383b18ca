"""The project's own app: accounts, organizations, members."""

from django.apps import AppConfig
from django.core import checks


class PortalConfig(AppConfig):
    """Configuration of the portal app."""

    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of `check --deploy`, the receivers of logs, factors and sessions, and writers' turns."""
        from portal import write_turns
        from portal.sign_in import events, factor_adapter, seen
        from portal.web.exposure import deploy_errors

        events.connect()
        factor_adapter.connect()
        seen.connect()
        write_turns.connect()
        checks.register(deploy_errors, checks.Tags.security, deploy=True)
