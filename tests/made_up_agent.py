"""An agent that touches nothing, for tests of the session with it."""

from __future__ import annotations

from typing import Final

# Answers with a report on the hub that was asked about. Some hubs' names say what goes wrong.
AGENT: Final = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    hub = request.get("hub", "")
    if hub.startswith("slow"):
        time.sleep(0.6)
    if hub.startswith("stuck"):
        time.sleep(60)
    if hub.startswith("forgetful"):
        request["id"] -= 1
    if hub.startswith("endless"):
        sys.stdout.write("x" * 3_000_000)
    if hub.startswith("dying"):
        os._exit(1)
    report = {"hub": hub, "epoch": 1, "generation": 1, "digest": "", "alive": True, "observed_at": 1.0,
              "duration_ms": 1.0, "changed": {}, "process": os.getpid(), "bytes": len(line)}
    print(json.dumps({"id": request["id"], "report": report}), flush=True)
    if hub.startswith("chatty"):
        time.sleep(0.2)
        print("{}", flush=True)
    if hub.startswith("last"):
        sys.exit()
"""
