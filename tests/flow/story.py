"""What the stories have in common: ids from addresses, and profiles as files."""

from __future__ import annotations

import re
from typing import Any

import requests

from tests.lab.waiting import wait_until
from tests.visitor import Visitor

NOT_YET = 503
WITHIN = 60.0


def id_in(answer: requests.Response, noun: str) -> str:
    """The id of the page that a form led to; shows the page where it led elsewhere."""
    found = re.search(rf"/{noun}/([0-9a-f-]{{36}})/(?:progress/)?$", answer.url)
    assert found, f"{answer.url}\n{answer.text}"
    return found[1]


def fetch_profile(admin: Visitor, peer: str) -> str:
    """The profile as a file, by the form on the peer's page; asked for again while the hub does not have the peer."""
    path = f"/peers/{peer}/"
    answers: list[requests.Response] = []

    def is_there() -> bool:
        sent = admin.submit(path, action=f"{path}profile/", headers={"Accept": "text/plain"}, expect=None)
        answers.append(sent)
        return sent.status_code != NOT_YET

    wait_until(is_there, WITHIN, "the hub to have the peer")
    answer = answers[-1]
    assert answer.status_code == requests.codes.ok, answer.text
    assert answer.headers["Content-Type"].startswith(("text/plain", "application/x-openvpn-profile"))
    return answer.text


def add_client(admin: Visitor, instance: str, **values: str) -> str:
    """Add a client peer of the admin's own; returns its id."""
    path = f"/instances/{instance}/peers/new-client/"
    member = re.search(r'<option value="([0-9a-f-]{36})"', admin.get(path).text)
    assert member
    return id_in(admin.submit(path, {"user_id": member[1], **values}), "peers")


class Program:
    """A program that calls the API of a running portal."""

    def __init__(self, base: str, token: str) -> None:
        self._base = f"{base.rstrip('/')}/api/v1/vpn"
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call that succeeds; returns its body."""
        answer = requests.request(method, self._base + path, json=body, headers=self._headers, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:600]}"
        return answer.json()
