"""`python -m portal.serving ADDRESS PORT`: the portal's web process, under the supervisor."""

from __future__ import annotations

import os
import sys

import uvicorn

from portal.serving import limits


def main(address: str, port: int) -> None:
    """Listen until SIGTERM; a worker that dies or hangs is started again."""
    uvicorn.run(
        "portal.serving.gateway:application",
        host=address,
        port=port,
        workers=limits.WORKERS,
        loop="asyncio",
        http="portal.serving.protocol:LimitedProtocol",
        ws="none",
        lifespan="on",
        h11_max_incomplete_event_size=limits.HEAD_SIZE,
        timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=limits.GRACEFUL_SECONDS,
        timeout_worker_healthcheck=limits.HEALTH_SECONDS,
        # No access log, because URLs may contain tokens. The portal itself decides which forwarded headers to trust.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    main(sys.argv[1], int(sys.argv[2]))
