"""The agent as one zipapp with the packages `vpn.agent` and `vpn.wire`, named by its version."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipapp
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

_PARTS: Final = ("agent", "wire")
_MAIN: Final = "from vpn.agent.__main__ import main\nimport sys\n\nsys.exit(main())\n"


@cache
def agent_bundle() -> bytes:
    """Return the zipapp of this version's agent."""
    with tempfile.TemporaryDirectory() as work:
        package = Path(work) / "vpn"
        for part in _PARTS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(settings.BASE_DIR / "vpn" / part, package / part, ignore=ignored)
        (package / "__init__.py").touch()
        (Path(work) / "__main__.py").write_text(_MAIN)
        packed = io.BytesIO()
        zipapp.create_archive(work, packed, compressed=True)
    return packed.getvalue()
