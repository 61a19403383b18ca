"""`manage.py schedule`: enqueue the scheduled jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from vpn.jobs.runtime.schedule import build_scheduler


class Command(BaseCommand):
    """Run the schedule until a signal stops it."""

    help = "Enqueue observation, reconciliation and tidying on schedule."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        build_scheduler().start()  # type: ignore[no-untyped-call]
