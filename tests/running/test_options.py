"""What the environment says about running."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.running.errors import CannotRunError
from portal.running.options import CLONE, read_options, with_system_path


def test_defaults_are_those_of_the_contract() -> None:
    options = read_options({})
    assert (options.bind, options.port, options.public_url) == ("127.0.0.1", 8000, "http://localhost:8000")
    assert options.data == CLONE / "var"


def test_public_url_follows_the_port() -> None:
    assert read_options({"PORT": "8123"}).public_url == "http://localhost:8123"


@pytest.mark.parametrize("url", ["https://vpn.example.org", "https://vpn.example.org/", "http://[2001:db8::1]:8000"])
def test_a_public_url_is_scheme_and_host(url: str) -> None:
    assert read_options({"PUBLIC_URL": url}).public_url == url.rstrip("/")


@pytest.mark.parametrize("url", ["https://example.org/vpn", "https://example.org/vpn/", "https://example.org?a=b"])
def test_a_public_url_with_a_path_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(CannotRunError, match=r"such as https://example\.org: give it a name of its own"):
        read_options({"PUBLIC_URL": url})
    with pytest.raises(ImproperlyConfigured, match="nothing behind the host"):
        _settings_with(url)


@pytest.mark.parametrize(
    "url",
    [
        *("vpn.example.org", "ftp://example.org", "https://", "https://a:b", "https://u@host"),
        *("https://vpn example.org", " https://vpn.example.org", "https://vpn.example.org\n"),
    ],
)
def test_a_public_url_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CannotRunError, match="PUBLIC_URL must be a full address"):
        read_options({"PUBLIC_URL": url})


def _settings_with(value: str, variable: str = "PUBLIC_URL") -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        runpy.run_path(str(CLONE / "portal" / "settings.py"))


@pytest.mark.parametrize(
    ("variable", "days"),
    [
        ("TRAFFIC_DAYS", "30"),
        ("ACTIVITY_DAYS", "0"),
        ("MAIL_DAYS", "99999"),
        ("JOURNAL_DAYS", "29"),
        ("REVISION_DAYS", "29"),
    ],
)
def test_a_number_of_days_that_loses_what_pages_show_is_refused(variable: str, days: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{variable} is {days}"):
        _settings_with(days, variable)


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_options({"DATA_DIR": "data"}).data == tmp_path / "data"


@pytest.mark.parametrize("port", ["eight", "0", "65536", "-1", "80 80"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(CannotRunError, match="PORT"):
        read_options({"PORT": port})


def test_system_directories_are_added_to_a_short_path() -> None:
    assert "/usr/sbin" in with_system_path("/usr/bin:/bin").split(":")
    assert with_system_path("/opt/x:/usr/sbin").startswith("/opt/x:/usr/sbin:")
