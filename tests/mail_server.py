"""A mail server on loopback: as much of SMTP (RFC 5321) as a client needs to hand over its mail."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from functools import partial

from tests.lab.waiting import wait_until


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail for everybody, unless it is told how to answer those whose address begins with "ben"."""

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []
        # What it answers for Ben.
        self.to_recipient, self.to_message = b"250 ok", b"250 ok"
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def url(self) -> str:
        """What makes a portal of its own processes send its mail here (EMAIL_URL)."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def link_for(self, recipient: str, within: float = 60.0) -> str:
        """The link in the newest mail for somebody, once there is one."""
        found = partial(self._links_for, recipient)
        wait_until(lambda: bool(found()), within, f"a mail with a link for {recipient}")
        return found()[-1]

    def _links_for(self, recipient: str) -> list[str]:
        bodies = [message_from_string(text).get_payload(decode=True) for to, text in self.received if to == recipient]
        return [link for body in bodies for link in re.findall(r"https?://\S+", bytes(body).decode())]

    @property
    def settings(self) -> dict[str, object]:
        """What makes the portal send its mail here."""
        return smtp_settings(self.server_address[1])


def smtp_settings(port: int) -> dict[str, object]:
    """Settings for a mail server on a port of loopback."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    return {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, "EMAIL_CONFIGURED": True}


@contextmanager
def serving_mail() -> Iterator[MailServer]:
    """A mail server, for as long as the context lasts."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, MailServer)
        recipient = ""
        self.wfile.write(b"220 mail.example\r\n")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "RCPT":
                recipient = line.partition("<")[2].rstrip(">")
                self._answer(self.server.to_recipient if recipient.startswith("ben") else b"250 ok")
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                text = "".join(iter(lambda: self.rfile.readline().decode(), ".\r\n"))
                answer = self.server.to_message if recipient.startswith("ben") else b"250 ok"
                if answer.startswith(b"250"):
                    self.server.received.append((recipient, text))
                self._answer(answer)
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")

    def _answer(self, text: bytes) -> None:
        self.wfile.write(text + b"\r\n")
