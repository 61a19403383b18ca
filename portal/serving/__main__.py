"""`python -m portal.serving ADDRESS PORT`: the web server alone, such as behind a load balancer."""

from __future__ import annotations

import os
import sys

import django

from portal.garbage import freeze_loaded
from portal.serving.web import load, serve


def main(address: str, port: int) -> None:
    """Load the application, and serve."""
    django.setup()
    load()
    freeze_loaded()
    serve(address, port)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    main(sys.argv[1], int(sys.argv[2]))
