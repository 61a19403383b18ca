"""The proxy's configuration that the documentation gives: nginx takes it, and it writes down no token."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from portal.running.options import CLONE

_CERTIFICATE = [
    "openssl",
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "1",
]


def example() -> str:
    """The block for nginx."""
    found = re.search(r"```nginx\n(.*?)```", (CLONE / "docs" / "production.md").read_text(), re.DOTALL)
    assert found
    return found[1]


def test_nginx_takes_the_example(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        pytest.skip("NOT TRIED: no nginx on this machine")
    key, certificate = tmp_path / "key.pem", tmp_path / "fullchain.pem"
    made = [*_CERTIFICATE, "-subj", "/CN=vpn.example.org", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    site = example().replace("/etc/ssl/portal", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    whole = f"pid {tmp_path}/pid; events {{}}\nhttp {{ {places} {site} }}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "errors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_the_example_logs_no_token_and_passes_on_no_forwarded_header() -> None:
    text = example()
    log = next(line for line in text.splitlines() if "log_format" in line)
    for whole in ("$request ", '$request"', "$request_uri", "$uri", "$http_referer", "$args"):
        assert whole not in log
    for secret in ("/p/", "/i/", "/accounts/link/", "/accounts/password/reset/key/"):
        assert re.search(rf"~\^{secret}\s", text), "its address holds a token"
    assert text.count("proxy_pass ") == text.count('proxy_set_header Forwarded ""')
