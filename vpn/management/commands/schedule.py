"""`manage.py schedule`: enqueue the scheduled jobs, and run them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from portal.garbage import freeze_loaded
from vpn.jobs.runtime.processes import run_schedule


class Command(BaseCommand):
    """Run the schedule, and the worker of its queue, until a signal stops them."""

    help = "Enqueue observation, reconciliation and tidying on schedule, and run the jobs of the queue `ticks`."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        freeze_loaded()
        run_schedule()
