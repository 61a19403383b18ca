"""What the portal mailed: the worker of the queue `mail` has its turn before a test looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from django.core.mail import EmailMessage

from portal.models import QueuedMail
from vpn.jobs.mail import send_one


def send_what_waits() -> None:
    """What the worker does with the mail that was asked for."""
    for pk in list(QueuedMail.objects.values_list("pk", flat=True)):
        send_one(str(pk))


class Mailbox(Sequence[EmailMessage]):
    """Django's outbox in memory, behind the worker."""

    def __init__(self, outbox: list[EmailMessage]) -> None:
        self._outbox = outbox

    @overload
    def __getitem__(self, place: int) -> EmailMessage: ...
    @overload
    def __getitem__(self, place: slice) -> list[EmailMessage]: ...
    def __getitem__(self, place: int | slice) -> EmailMessage | list[EmailMessage]:
        send_what_waits()
        return self._outbox[place]

    def __len__(self) -> int:
        send_what_waits()
        return len(self._outbox)
