"""What a web worker has done by the time it is ready, seen in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from django.conf import settings

_WORKER = """
import asyncio, gc, json, sys
from portal.serving.gateway import application

found = {}

async def receive():
    return {"type": "lifespan.shutdown" if found else "lifespan.startup"}

async def send(message):
    loaded = {"portal.urls", "vpn.urls"} <= set(sys.modules)
    found.setdefault(message["type"], [gc.get_freeze_count(), len(gc.get_objects()), loaded])

asyncio.run(application({"type": "lifespan"}, receive, send))
print(json.dumps(found["lifespan.startup.complete"]))
"""


def test_a_ready_worker_has_loaded_all_pages_and_later_collections_leave_them_out() -> None:
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    worker = subprocess.run(
        [sys.executable, "-c", _WORKER], cwd=settings.BASE_DIR, env=environ, stdout=subprocess.PIPE, check=True
    )
    frozen, left, has_pages = json.loads(worker.stdout)
    assert has_pages
    assert frozen > 100_000
    assert left < 1000
