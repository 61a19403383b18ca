"""What travels in the clear: refused by `check --deploy`, told at every start."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django import Settings

from portal.running.dns_url import parse_dns_url

ROOT = Path(__file__).resolve().parents[2]
FINE_REDIS = [
    "unix:///run/redis.sock",
    "redis://localhost:6379/0",
    "redis://127.0.0.1",
    "redis://[::1]:6379",
    "rediss://portal:secret@redis.example.org:6380/0",
    "rediss://redis.example.org:6380/0?password=secret",
]
OPEN_REDIS = {
    "redis://redis.example.org": "has no TLS and has no password",
    "redis://:secret@10.0.0.5:6379": "has no TLS",
    "rediss://redis.example.org": "has no password",
    "rediss://portal@redis.example.org": "has no password",
    "rediss://:secret@redis.example.org?ssl_cert_reqs=none": "does not check the server's certificate",
    "redis://127.0.0.1.example.org": "has no TLS",
}
FINE_URLS = [
    "http://localhost:8000",
    "http://127.0.0.1:8000",
    "http://[::1]:8000",
    "http://vpn.localhost",
    "https://vpn.example.org",
]
OPEN_URLS = ["http://vpn.example.org", "http://192.168.1.5:8000", "http://localhost.example.org"]


def refusals() -> list[str]:
    """What `check --deploy` refuses of ours, by id."""
    try:
        call_command("check", "--deploy", stdout=io.StringIO(), stderr=io.StringIO())
    except SystemCheckError as refused:
        return [name for name in ("portal.E001", "portal.E002", "portal.E003") if name in str(refused)]
    return []


@pytest.mark.parametrize("url", FINE_REDIS)
def test_a_redis_that_others_cannot_read_passes(url: str, settings: Settings) -> None:
    settings.REDIS_URL = url
    assert refusals() == []


@pytest.mark.parametrize(("url", "reason"), OPEN_REDIS.items())
def test_a_shared_redis_that_others_can_read_is_refused(url: str, reason: str, settings: Settings) -> None:
    settings.REDIS_URL = url
    with pytest.raises(SystemCheckError) as refused:
        call_command("check", "--deploy", stdout=io.StringIO(), stderr=io.StringIO())
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("/?secure=true", []),
        ("ns.example.org:8081/?secure=true", []),
        ("localhost:8081/?secure=false", []),
        ("192.0.2.53:8081/?secure=false", ["portal.E003"]),
    ],
)
def test_credentials_of_a_dns_provider_in_the_clear_are_refused(
    place: str, refused: list[str], settings: Settings
) -> None:
    url = f"libcloud+powerdns://secret@{place.replace('/', '/vpn.example.org')}"
    settings.DNS_PUBLISHER = parse_dns_url(url, "vpn.example.org")
    assert refusals() == refused


@pytest.mark.parametrize("url", FINE_URLS)
def test_https_and_this_machine_pass(url: str, settings: Settings) -> None:
    settings.PUBLIC_URL = url
    assert refusals() == []


@pytest.mark.parametrize("url", OPEN_URLS)
def test_plain_http_for_others_is_refused(url: str, settings: Settings) -> None:
    settings.PUBLIC_URL = url
    assert refusals() == ["portal.E002"]


@pytest.mark.django_db
def test_every_start_says_both(settings: Settings) -> None:
    """`make up` runs this command, and shows what it says."""
    told = io.StringIO()
    settings.REDIS_URL, settings.PUBLIC_URL = "redis://:secret@redis.example.org", "http://vpn.example.org"
    call_command("prepare", stdout=io.StringIO(), stderr=told)
    assert "Warning: REDIS_URL leads to redis.example.org and has no TLS" in told.getvalue()
    assert "Warning: PUBLIC_URL is http://vpn.example.org, plain http" in told.getvalue()
    assert "secret" not in told.getvalue()
    quiet = io.StringIO()
    settings.REDIS_URL, settings.PUBLIC_URL = FINE_REDIS[0], FINE_URLS[0]
    call_command("prepare", stdout=io.StringIO(), stderr=quiet)
    assert quiet.getvalue() == ""


def test_the_command_fails_for_who_deploys_so(tmp_path: Path) -> None:
    """As an operator runs it; Django's own warnings alone do not refuse."""
    environ = {**os.environ, "DATA_DIR": str(tmp_path), "SECRET_KEYS": "only-for-tests-" * 3}
    environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)  # the tests of the browser set it, and Django refuses it
    environ |= {"PUBLIC_URL": "http://vpn.example.org", "REDIS_URL": "redis://redis.example.org"}
    command = [sys.executable, "manage.py", "check", "--deploy"]
    refused = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert refused.returncode == 1
    assert {"portal.E001", "portal.E002"} <= {word.strip("():") for word in refused.stderr.split()}
    environ |= {"PUBLIC_URL": "https://vpn.example.org", "REDIS_URL": "rediss://:secret@redis.example.org"}
    assert subprocess.run(command, cwd=ROOT, env=environ, capture_output=True).returncode == 0
