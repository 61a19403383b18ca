"""`manage.py worker QUEUE...`: run the jobs of these queues."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from portal.garbage import freeze_loaded
from vpn.jobs.runtime.heartbeat import QUEUES
from vpn.jobs.runtime.worker import build_worker


class Command(BaseCommand):
    """Run a worker until a signal stops it."""

    help = "Run the background jobs of one or more queues."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the queues' names."""
        parser.add_argument("queues", nargs="*", choices=[*QUEUES, []], default=list(QUEUES))
        parser.add_argument(
            "--spare",
            action="store_true",
            help="an additional worker, which health checks ignore",
        )
        parser.add_argument("--burst", action="store_true", help="stop when there is nothing left to do")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work."""
        worker = build_worker(options["queues"], is_spare=options["spare"])
        freeze_loaded()
        worker.work(burst=options["burst"], logging_level="WARNING")
