"""Benchmarks: `make bench`. Figures of one machine in one run; nothing here passes or fails.

The laboratory renders the files that the portal delivers, so Django is set up before any of its modules is imported.
What runs as a program of a portal's finds its settings in the environment.
"""

import os
import tempfile
from pathlib import Path

import django

if "DATA_DIR" not in os.environ:
    _data = tempfile.TemporaryDirectory(prefix="bench-")
    (Path(_data.name) / "db").mkdir()
    os.environ["DATA_DIR"] = _data.name
    os.environ.setdefault("SECRET_KEYS", "only-for-benches-" * 3)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()
