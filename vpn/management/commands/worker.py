"""`manage.py worker QUEUE...`: run the jobs of these queues."""

from __future__ import annotations

import argparse
from typing import Any

import django_rq
from django.core.management.base import BaseCommand

from portal.garbage import freeze_loaded
from vpn.doorbell import PortalJob, PortalQueue
from vpn.jobs.runtime.heartbeat import QUEUES
from vpn.jobs.runtime.worker import PortalWorker


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
        queues = [django_rq.get_queue(name) for name in options["queues"]]
        worker = PortalWorker(
            queues,
            connection=queues[0].connection,
            job_class=PortalJob,
            queue_class=PortalQueue,
            serializer="rq.serializers.JSONSerializer",
        )
        worker.is_spare = options["spare"]
        freeze_loaded()
        worker.work(burst=options["burst"], logging_level="WARNING")
