"""The sealing keys that the settings carry, and the signing keys that are derived from them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import environ
from django.core.exceptions import ImproperlyConfigured

_SHORTEST: Final = 32  # characters


def read_secret_keys(env: environ.Env, data_dir: Path) -> list[str]:
    """The sealing keys, newest first: from the environment, else from the file that `manage.py up` made."""
    keys = [key for key in env.list("SECRET_KEYS", default=[]) if key]
    file = data_dir / "keys" / "secret_keys"
    if not keys and file.exists():
        keys = file.read_text().split()
    if not keys:
        raise ImproperlyConfigured(f"No SECRET_KEYS: set the variable, or run `make up`, which makes {file}")
    if any(len(key) < _SHORTEST for key in keys):
        raise ImproperlyConfigured(f"Every key in SECRET_KEYS needs at least {_SHORTEST} characters")
    return keys


def signing_key(secret: str) -> str:
    """The key with which Django signs, derived from a sealing key."""
    return hashlib.sha256(b"portal.signing:" + secret.encode()).hexdigest()
