"""The columns that 0029 copied go. A worker of the version before needs them, so it has ended before this runs."""

from typing import Any

from django.db import migrations


class RemoveFields(migrations.SeparateDatabaseAndState):
    """Remove several columns of a model. SQLite writes the whole table anew for each, so there it is done for all."""

    def __init__(self, model_name: str, names: tuple[str, ...]) -> None:
        self.model_name, self.names = model_name, names
        removed = [migrations.RemoveField(model_name, name) for name in names]
        super().__init__(database_operations=removed, state_operations=removed)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.model_name, self.names], {}

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor._remake_table(to_state.apps.get_model(app_label, self.model_name))  # noqa: SLF001
        else:
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0029_observations'),
    ]

    operations = [
        RemoveFields('instance', ('knocked_at', 'observed_at', 'silent_resolvers', 'verified_at')),
        RemoveFields(
            'peer',
            (
                'connected_from',
                'counter_received',
                'counter_sent',
                'endpoint',
                'last_handshake',
                'push_generation',
                'received_bytes',
                'sent_bytes',
            ),
        ),
    ]
