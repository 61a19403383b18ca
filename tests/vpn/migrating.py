"""Move the test database back to an earlier migration and forward again."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def migrate(name: str | None = None) -> Any:
    """Migrate `vpn` to this state, or to the newest one; returns the models of that time."""
    executor = MigrationExecutor(connection)
    targets: Any = [("vpn", name)] if name else executor.loader.graph.leaf_nodes("vpn")
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps
