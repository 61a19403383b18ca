"""The agent's version: a digest of its code, wherever that is read from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipapp
from pathlib import Path

from tests.agent import made
from vpn.wire.version import agent_version

ROOT = Path(made.__file__).resolve().parents[2]
ASK = "from vpn.wire.version import agent_version; print(agent_version())"


def copied(directory: Path) -> Path:
    """The agent's code, as it is shipped."""
    target = directory / "vpn"
    target.mkdir(parents=True)
    shutil.copy(ROOT / "vpn" / "__init__.py", target)
    for part in ("agent", "wire"):
        shutil.copytree(ROOT / "vpn" / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def readable_by_all(directory: Path) -> None:
    """The modes of an installed package: those of a checkout follow the umask of the one who made it."""
    directory.chmod(0o755)
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def version_in(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd="/", env={"PYTHONPATH": str(path)}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_zipapp_has_the_version_of_its_files(tmp_path: Path) -> None:
    packed = tmp_path / "agent.pyz"
    zipapp.create_archive(copied(tmp_path / "source"), packed, main="vpn.agent.__main__:main")
    assert version_in(packed) == agent_version() == version_in(ROOT)


def test_another_line_makes_another_version(tmp_path: Path) -> None:
    directory = copied(tmp_path)
    with (directory / "vpn" / "agent" / "watch.py").open("a") as file:
        file.write("# changed\n")
    assert version_in(directory) != agent_version()


def test_an_account_that_may_not_list_compiled_files_knows_the_version() -> None:
    """Root's processes may be the first to compile, with a umask of 077, and the web server has another account."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = copied(Path(name))
        readable_by_all(directory)
        (directory / "vpn" / "wire" / "__pycache__").mkdir(mode=0o700)
        ask = f"import sys; sys.path.insert(0, {name!r}); {ASK}"
        argv = ["/usr/bin/python3", "-I", "-B", "-c", ask]
        done = subprocess.run(argv, cwd="/", user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
        assert done.stdout.strip() == agent_version(), done.stderr
