"""Where browsers measure a region: staff say it by command and in Django admin; nothing else gets into a policy."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from vpn.models import Region
from vpn.validators import is_probe_url

GOOD = [
    "https://fra1.example.com/ping.txt",
    "https://fra1.example.com",
    "https://192.0.2.7:8443/a/b.txt?c=d&e=f",
    "http://localhost:8080/",
    "http://127.0.0.1/tiny",
]
BAD = [
    "http://fra1.example.com/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com/; script-src *",
    "https://example.com;script-src/",
    "https://example.com, https://other.example/",
    "https://*.example.com/",
    "https://*",
    "https:",
    "*",
    "data:text/plain,x",
    "javascript:alert(1)",
    "https://example.com:99999/",
    "https://example.com:0/",
    "https://example.com/'",
    "https://example.com/ ",
    "https://example.com/\n",
    "https://[2001:db8::1]/",
    "http://localhost.example.com/",
    "http://127.0.0.1.example.com/",
    "//example.com/",
    "HTTPS://example.com/",
]


@pytest.mark.parametrize("url", GOOD)
def test_https_and_this_machine_are_taken(url: str) -> None:
    assert is_probe_url(url)


@pytest.mark.parametrize("url", BAD)
def test_all_else_is_refused(url: str) -> None:
    assert not is_probe_url(url)


@pytest.mark.django_db
def test_the_command_takes_and_checks_it() -> None:
    call_command("region", "add", "fra", "Frankfurt", probe_url=GOOD[0])
    assert Region.objects.get(pk="fra").probe_url == GOOD[0]
    with pytest.raises(CommandError, match="Only localhost may have http"):
        call_command("region", "add", "par", "Paris", probe_url=BAD[0])
    assert not Region.objects.filter(pk="par").exists()


@pytest.mark.django_db
def test_staff_set_it_in_django_admin(staff_browser: Client) -> None:
    add = {"id": "fra", "name": "Frankfurt", "country": "DE", "latitude": "", "longitude": "", "probe_url": BAD[3]}
    page = staff_browser.post("/admin/vpn/region/add/", add).content.decode()
    assert "Only localhost may have http" in page
    assert staff_browser.post("/admin/vpn/region/add/", {**add, "probe_url": GOOD[0]}).status_code == 302
    change = {"name": "Frankfurt", "country": "DE", "available": "on", "probe_url": GOOD[1]}
    assert staff_browser.post("/admin/vpn/region/fra/change/", change).status_code == 302
    assert Region.objects.get(pk="fra").probe_url == GOOD[1]
    assert staff_browser.post("/admin/vpn/region/fra/change/", {**change, "probe_url": BAD[0]}).status_code == 200


@pytest.mark.django_db
def test_staff_test_the_file_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ping.txt").write_text("1")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, ExitStack() as stack:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        call_command("region", "add", "fra", "Frankfurt", probe_url=f"{url}/ping.txt")
        call_command("region", "test", "fra")
        assert re.search(r"ping\.txt answers this machine in \d+ ms\.", capsys.readouterr().out)
        call_command("region", "set", "fra", "--probe-url", f"{url}/wrong.txt")
        with pytest.raises(CommandError, match=r"wrong\.txt answers with status 404: put a tiny file there"):
            call_command("region", "test", "fra")
        call_command("region", "set", "fra", "--probe-url", url.replace("http:", "https:"))
        with pytest.raises(CommandError, match="does not answer"):
            call_command("region", "test", "fra")
    call_command("region", "set", "fra", "--probe-url", f"{url}/ping.txt")
    with pytest.raises(CommandError, match="does not answer"):
        call_command("region", "test", "fra")
    call_command("region", "set", "fra", "--probe-url", "")
    with pytest.raises(CommandError, match="neither a cloud account nor a probe URL"):
        call_command("region", "test", "fra")
