"""`manage.py schedule`: run the scheduled jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portal.garbage import freeze_loaded
from vpn.jobs.runtime.schedule import run_schedule


class Command(BaseCommand):
    """Run the schedule until a signal stops it."""

    help = "Run reconciliation and tidying on schedule, and enqueue observations, knocks and public names."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        freeze_loaded()
        run_schedule()
