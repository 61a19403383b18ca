"""One public key is sent twice at the same moment: what each sender gets. Runs in the process of `quota_race`."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import override_settings, setup_test_environment

from portal.models import Membership
from tests.factories import an_admin, make_client_peer, make_instance, make_member, make_organization, settle
from tests.vpn.api.caller import Caller
from vpn import keys

WAITS = 300  # seconds
Sent = Callable[[str], list[object]]


def race_of_keys() -> dict[str, list[list[object]]]:
    """By way in, what two senders of one key got, the better answer first."""
    setup_test_environment()
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
        return _race()


def _race() -> dict[str, list[list[object]]]:
    organization = make_organization()
    hub, admin = make_instance(organization, name="Keys"), an_admin(organization)
    anna, ben = make_member(organization), make_member(organization)
    first, second, third = (make_client_peer(hub, anna, device) for device in ("one", "two", "three"))
    settle(hub)
    token = Caller.of(admin).token
    return {
        "key of two devices by page": _twice(*(_by_page(admin, f"/instances/{hub.pk}", one) for one in (anna, ben))),
        "key of two devices by API": _twice(*(_by_api(token, f"/instances/{hub.pk}", one) for one in (anna, ben))),
        "key of two peers": _twice(*(_own_key(admin, f"/peers/{one.pk}/key/") for one in (first, second))),
        "key of one peer": _twice(*(_own_key(admin, f"/peers/{third.pk}/key/") for _ in range(2))),
    }


def _by_page(admin: Membership, path: str, owner: Membership) -> Sent:
    values = {"user_id": str(owner.pk), "protocol": "wireguard", "route_all": "false", "device": "phone"}

    def send(key: str) -> list[object]:
        answer = _browser(admin).post(f"{path}/peers/new-client/", {**values, "public_key": key})
        if answer.status_code == 302:
            return ["added"]
        is_beside = 'id="id_public_key_error"' in answer.content.decode()
        return ["beside the field" if is_beside else answer.status_code]

    return send


def _by_api(token: str, path: str, owner: Membership) -> Sent:
    body = {"type": "client", "user_id": str(owner.pk), "device": "tablet"}

    def send(key: str) -> list[object]:
        answer = Caller(token).post(f"{path}/peers", {**body, "public_key": key})
        if answer.status_code == 201:
            return [201]
        told = json.loads(answer.content)
        return [answer.status_code, told["code"], *told.get("errors", {})]

    return send


def _own_key(admin: Membership, path: str) -> Sent:
    def send(key: str) -> list[object]:
        status = _browser(admin).post(path, {"public_key": key}).status_code
        return [200 if status == 503 else status]  # taken: the hub does not have it yet

    return send


def _browser(admin: Membership) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(admin.user)
    return client


def _twice(*senders: Sent) -> list[list[object]]:
    key, start = keys.public_key(keys.generate_private_key()), Barrier(len(senders), timeout=WAITS)

    def send(sender: Sent) -> list[object]:
        try:
            start.wait()
            return sender(key)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(senders)) as pool:
        return sorted(pool.map(send, senders, timeout=WAITS), key=str)
