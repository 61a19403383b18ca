"""A server that confirms what it is sent, and the turn of the worker that sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vpn.drivers.base import errors
from vpn.jobs.apply import apply_instance
from vpn.models import Instance, Operation
from vpn.wire import codes
from vpn.wire.report import HubReport

REFUSALS = {
    errors.PORT_TAKEN: codes.WIREGUARD_PORT_TAKEN.of(20000),
    errors.PACKAGE_MISSING: codes.SERVER_PACKAGE_MISSING.of("nftables"),
    errors.DISK_FULL: codes.SERVER_DISK_FULL.of(),
    errors.NO_RIGHT: codes.SERVER_RIGHT_MISSING.of("CAP_NET_ADMIN"),
}


class Server:
    """Plays the server: confirms what it is sent, or what `answer` makes of that."""

    lease = None

    def __init__(self) -> None:
        self.answer: Callable[[HubReport], HubReport] = lambda report: report
        self.asked = 0
        self.was_delta = self.was_ahead = False
        self.document: dict[str, Any] = {}

    def apply(self, document: dict[str, Any], *, delta: bool, ahead: bool = False) -> HubReport:
        """Confirm."""
        from vpn.wire.digests import digest

        self.asked += 1
        self.was_delta, self.was_ahead, self.document = delta, ahead, document
        wanted = document["digest"] if delta else digest(document)
        report = HubReport(document["hub"], document["epoch"], document["generation"], wanted, True, 0.0)
        return self.answer(report)


def applied(instance: Instance) -> Operation:
    apply_instance(str(instance.pk))
    instance.refresh_from_db()
    operation = instance.operations.filter(kind="apply").first()
    assert operation is not None
    return operation


def refuse(error: Exception) -> Callable[[HubReport], HubReport]:
    def answer(report: HubReport) -> HubReport:
        raise error

    return answer
