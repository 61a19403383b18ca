"""`manage.py schedule`: ring for what happens by the clock."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from vpn.jobs.runtime.schedule import build_scheduler


class Command(BaseCommand):
    """Runs the schedule until it is told to stop."""

    help = "Ring for observation, reconciliation and tidying, by the clock."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        build_scheduler().start()  # type: ignore[no-untyped-call]
