"""What the environment says about running."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.running.errors import CannotRunError
from portal.running.options import CLONE, read_options, with_system_path


def test_defaults_are_those_of_the_contract() -> None:
    options = read_options({})
    assert (options.bind, options.port, options.public_url) == ("127.0.0.1", 8000, "http://localhost:8000")
    assert options.data == CLONE / "var"


def test_public_url_follows_the_port() -> None:
    assert read_options({"PORT": "8123"}).public_url == "http://localhost:8123"


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_options({"DATA_DIR": "data"}).data == tmp_path / "data"


@pytest.mark.parametrize("port", ["eight", "0", "65536", "-1", "80 80"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(CannotRunError, match="PORT"):
        read_options({"PORT": port})


def test_clones_and_their_data_are_told_apart() -> None:
    assert read_options({"DATA_DIR": "/srv/a"}).mark != read_options({"DATA_DIR": "/srv/b"}).mark


def test_system_directories_are_added_to_a_short_path() -> None:
    assert "/usr/sbin" in with_system_path("/usr/bin:/bin").split(":")
    assert with_system_path("/opt/x:/usr/sbin").startswith("/opt/x:/usr/sbin:")
