"""Keys, tokens and passwords are where they belong, and nowhere else."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import LazySettings
from django.contrib.admin import site
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.actions.member import add_member
from portal.actions.sign_in_link import one_time_link
from portal.models import ApiToken, Membership
from portal.sealing import UnsealError
from tests.factories import BY, PASSWORD
from tests.fixtures import signed_in
from tests.secret_story import Story, database_dump, found_in, tell
from vpn.actions.profiles.profile import Delivery, deliver_profile
from vpn.desired import compile_spec
from vpn.doorbell import _enqueue as ring_for_real
from vpn.jobs.apply import apply_instance
from vpn.models import Instance, Peer, ProfileLink
from vpn.profiles.peer import profile_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def story(
    admin: Membership,
    member: Membership,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> Story:
    """Told while everything is logged."""
    caplog.set_level(logging.DEBUG)
    return tell(admin, member, django_capture_on_commit_callbacks)


def sealed_values() -> dict[str, str]:
    """What stands in the sealed columns: nothing that a page or program should see either."""
    values: dict[str, str] = {}
    for model in (Instance, Peer):
        columns = [field.name for field in model._meta.fields if field.name.endswith("_sealed")]
        for row in model.objects.all():
            values |= {f"{model.__name__}.{column}": getattr(row, column) for column in columns}
    return {name: value for name, value in values.items() if value}


def test_the_story_reveals_the_profile_where_it_should(story: Story) -> None:
    assert story.client_peer.private_key in story.profile
    assert story.client_peer.preshared_key in story.profile


def test_the_database_holds_no_secret_in_plain(story: Story) -> None:
    dump = database_dump()
    assert story.instance.pk.hex in dump.replace("-", ""), "the dump is not one"
    assert found_in(dump, story.secrets) == []


def test_the_log_holds_no_secret(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    said = "\n".join(f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records)
    assert found_in(said + caplog.text, story.secrets | sealed_values()) == []


def test_no_address_holds_a_secret(story: Story) -> None:
    assert len(story.addresses) > 20
    assert found_in("\n".join(story.addresses), story.secrets) == []


def test_no_json_but_the_profile_itself_holds_a_key(story: Story) -> None:
    own_answers = [name for name in story.secrets if name.startswith("share token of")]
    secrets = {name: value for name, value in story.secrets.items() if name not in own_answers}
    for answer in story.json_answers:
        assert found_in(answer, secrets | sealed_values()) == []
        assert "sealed" not in answer


def test_rows_say_who_they_are_without_their_secrets(story: Story) -> None:
    delivery = deliver_profile(story.client_peer, by=BY)
    assert isinstance(delivery, Delivery)
    things = [
        *Instance.objects.all(),
        *Peer.objects.all(),
        *ApiToken.objects.all(),
        *ProfileLink.objects.all(),
        *Membership.objects.all(),
        compile_spec(story.instance.pk),
        profile_of(story.client_peer),
        delivery,
    ]
    assert found_in("\n".join(f"{thing!r} {thing}" for thing in things), story.secrets) == []


def test_no_page_shows_a_key_before_it_is_asked_to(story: Story, admin: Membership) -> None:
    instance, peer = story.instance.pk, story.client_peer.pk
    pages = [reverse(name) for name in ("instances", "sites", "people", "my")]
    tabs = ("", "_progress", "_routing", "_dns", "_settings", "_activity")
    pages += [reverse(f"instance{tab}", args=[instance]) for tab in tabs]
    pages += [reverse(name, args=[peer]) for name in ("peer", "peer_edit", "peer_rotate")]
    for page in pages:
        response = signed_in(admin.user).get(page)
        assert response.status_code == 200, page
        assert found_in(response.content.decode(), story.secrets | sealed_values()) == [], page


def test_no_page_of_django_admin_shows_a_secret(story: Story, admin: Membership, staff: Any) -> None:
    hidden = story.secrets | sealed_values() | {"password hash": admin.user.password}
    browser, shown = signed_in(staff), 0
    request = RequestFactory().get("/admin/")
    request.user = staff
    for model, page_of_model in site._registry.items():
        if model._meta.app_label not in {"portal", "vpn"}:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = list(page_of_model.get_queryset(request)[:3])
        for page in (reverse(f"{name}_changelist"), *(reverse(f"{name}_change", args=[row.pk]) for row in rows)):
            response = browser.get(page)
            assert response.status_code == 200, page
            assert found_in(response.content.decode(), hidden) == [], page
            shown += 1
    assert shown > 25


# When something breaks ------------------------------------------------------------------------------------------------


def _break(*args: object, **kwargs: object) -> None:
    raise RuntimeError("broken on purpose")


def test_an_error_shows_no_password(
    admin: Membership, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "a very secret password"
    browser = Client(raise_request_exception=False)
    invited = add_member(admin.organization, email="anna@example.org", role="member", by=BY)
    browser.get(urlsplit(one_time_link(invited)).path)
    monkeypatch.setattr("portal.views.sign_in_link.set_password_by_link", _break)
    answers = [browser.post("/accounts/link/", {"password1": secret, "password2": secret})]
    monkeypatch.setattr("portal.sign_in.adapter.AccountAdapter.authenticate", _break)
    answers.append(browser.post("/accounts/login/", {"login": "anna@example.org", "password": secret}))
    for answer in answers:
        assert answer.status_code == 500
        assert secret not in answer.content.decode()
    assert "broken on purpose" in caplog.text
    assert secret not in caplog.text


def test_an_error_while_revealing_shows_no_key(
    story: Story, admin: Membership, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vpn.presenters.profiles.page.routes_sentence", _break)
    browser = signed_in(admin.user)
    browser.raise_request_exception = False
    answer = browser.post(reverse("peer_profile", args=[story.client_peer.pk]))
    assert answer.status_code == 500
    assert found_in(answer.content.decode() + caplog.text, story.secrets) == []


def test_a_job_that_fails_tells_no_key(
    story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Instance.objects.filter(pk=story.instance.pk).update(desired_generation=story.instance.desired_generation + 1)
    monkeypatch.setattr("vpn.jobs.apply.send", _break)
    with pytest.raises(RuntimeError):
        apply_instance(str(story.instance.pk))
    assert found_in(caplog.text + database_dump(), story.secrets) == []


# Redis ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def real_redis(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A Redis of our own, which the portal's doorbell and cache use."""
    socket = tmp_path / "r.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"unix://{socket}"
    settings.REDIS_URL = url
    settings.RQ_QUEUES = {name: {**queue, "URL": url} for name, queue in settings.RQ_QUEUES.items()}
    settings.CACHES = {"default": {"BACKEND": "portal.web.cache.TolerantRedisCache", "LOCATION": url}}
    monkeypatch.setattr("vpn.doorbell._enqueue", ring_for_real)
    monkeypatch.setattr("portal.web.cache.TolerantRedisCache._away_until", 0.0)
    client = redis.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
    try:
        client.ping()
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def _redis_dump(client: redis.Redis) -> str:
    kinds: dict[Any, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return "\n".join(f"{key!r}: {kinds[client.type(key)](key)!r}" for key in client.scan_iter())


def test_redis_holds_ids_and_no_secret(
    real_redis: redis.Redis, admin: Membership, member: Membership, django_capture_on_commit_callbacks: Any
) -> None:
    story = tell(admin, member, django_capture_on_commit_callbacks)
    dump = _redis_dump(real_redis)
    assert str(story.instance.pk) in dump, "no job was enqueued"
    assert "allauth" in dump or "rl" in dump, "no rate limit was counted"
    assert found_in(dump, story.secrets | sealed_values()) == []
    assert admin.user.email not in dump


# Sealed values stay where they were sealed ----------------------------------------------------------------------------


def test_a_sealed_value_does_not_open_in_another_row(story: Story) -> None:
    Peer.objects.filter(pk=story.client_peer.pk).update(private_key_sealed=story.site_peer.private_key_sealed)
    with pytest.raises(UnsealError):
        _ = Peer.objects.get(pk=story.client_peer.pk).private_key


def test_a_sealed_value_does_not_open_in_another_field(story: Story) -> None:
    Peer.objects.filter(pk=story.client_peer.pk).update(private_key_sealed=story.client_peer.preshared_key_sealed)
    with pytest.raises(UnsealError):
        _ = Peer.objects.get(pk=story.client_peer.pk).private_key


def test_a_sealed_value_does_not_open_in_another_table(story: Story) -> None:
    peer = Peer(pk=story.instance.pk, private_key_sealed=story.instance.private_key_sealed)
    with pytest.raises(UnsealError) as refused:
        _ = peer.private_key
    assert story.instance.private_key not in str(refused.value)


def test_an_altered_value_does_not_open(story: Story) -> None:
    head, body = story.client_peer.private_key_sealed.rsplit(":", 1)
    changed = "B" if body[20] == "A" else "A"
    story.client_peer.private_key_sealed = f"{head}:{body[:20]}{changed}{body[21:]}"
    with pytest.raises(UnsealError):
        _ = story.client_peer.private_key


def test_a_new_key_seals_and_the_old_one_still_opens(story: Story, settings: LazySettings) -> None:
    before = story.client_peer.private_key
    settings.SECRET_KEYS = ["another-key-for-tests-of-32-chars", *settings.SECRET_KEYS]
    peer = Peer.objects.get(pk=story.client_peer.pk)
    assert peer.private_key == before
    peer.private_key = before
    settings.SECRET_KEYS = settings.SECRET_KEYS[:1]
    assert peer.private_key == before
    with pytest.raises(UnsealError):
        _ = peer.preshared_key


def test_the_password_is_kept_as_a_hash(admin: Membership) -> None:
    assert PASSWORD not in admin.user.password
