"""The project's own app: accounts, organizations, members."""

from django.apps import AppConfig, apps
from django.core import checks


class PortalConfig(AppConfig):
    """Configuration of the portal app."""

    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of `check --deploy`, receivers of logs, factors and sessions, writers' turns, and words.

        The labels of all models are translated here, before Django admin reads them.
        """
        from portal import write_turns
        from portal.fault_words import FAULTS
        from portal.labels import translate_labels
        from portal.sign_in import events, factor_adapter, seen
        from portal.told import register
        from portal.web.exposure import deploy_errors

        events.connect()
        factor_adapter.connect()
        seen.connect()
        write_turns.connect()
        translate_labels(model for model in apps.get_models() if model._meta.app_label in {"portal", "vpn"})
        register(FAULTS)
        checks.register(deploy_errors, checks.Tags.security, deploy=True)
