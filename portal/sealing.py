"""Sealing of secrets at rest: AES-256-GCM under keys that are not in the database.

A sealed value is bound to its table, row and field (as associated data), so a copy elsewhere cannot be opened. The
newest key seals; every configured key unseals, so that keys can be rotated.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
from typing import Any, overload

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.db import models
from django.db.models.signals import pre_save

from portal.key_file import secret_keys

_VERSION = "1"
_NONCE_BYTES = 12


class UnsealError(Exception):
    """A sealed value was moved, altered, or sealed under a key that is not configured any more."""


@functools.lru_cache(maxsize=16)
def _cipher(secret: str) -> AESGCM:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portal.sealing").derive(secret.encode())
    return AESGCM(key)


@functools.lru_cache(maxsize=16)
def _key_id(secret: str) -> str:
    return hashlib.sha256(b"portal.sealing key id:" + secret.encode()).hexdigest()[:8]


def seal(plain: str, *, table: str, row: str, field: str) -> str:
    """Seal a text for one place in the database; returns printable text."""
    secret = secret_keys()[0]
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(secret).encrypt(nonce, plain.encode(), _place(table, row, field))
    return f"{_VERSION}:{_key_id(secret)}:{base64.b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, table: str, row: str, field: str) -> str:
    """Open a value that `seal` made for the same place. Raises UnsealError otherwise."""
    try:
        version, key_id, body = sealed.split(":")
        raw = base64.b64decode(body, validate=True)
    except ValueError:
        raise UnsealError(f"{table}.{field} does not hold a sealed value") from None
    if version != _VERSION:
        raise UnsealError(f"{table}.{field} was sealed by another version")
    for secret in secret_keys():
        if _key_id(secret) == key_id:
            try:
                return (
                    _cipher(secret).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _place(table, row, field)).decode()
                )
            except InvalidTag:
                raise UnsealError(f"{table}.{field} was altered or moved") from None
    raise UnsealError(f"{table}.{field} was sealed under a key that is not in SECRET_KEYS")


def openable_prefixes() -> list[str]:
    """The prefixes of sealed values that a configured key opens."""
    return [f"{_VERSION}:{_key_id(secret)}:" for secret in secret_keys()]


def newest_prefix() -> str:
    """The prefix of values sealed under the newest key."""
    return openable_prefixes()[0]


def _place(table: str, row: str, field: str) -> bytes:
    return f"{table}\x1f{row}\x1f{field}".encode()


class Sealed:
    """A model attribute that reads and writes the plain text of a sealed column.

    `private_key = Sealed("private_key_sealed")` beside a TextField of that name; empty stays empty. The row needs
    its primary key before the first write, so models with sealed columns use UUID keys. `lasting` is false where the
    row is of use for hours only, so that a lost key does no harm.
    """

    def __init__(self, column: str, *, lasting: bool = True) -> None:
        self.column = column
        self.lasting = lasting

    def __set_name__(self, owner: type[models.Model], name: str) -> None:
        # A row that was read before a rotation must not write the older seal back to the database.
        pre_save.connect(self._renew, sender=owner, weak=False, dispatch_uid=(id(owner), name))

    def _renew(self, instance: models.Model, update_fields: frozenset[str] | None, **kwargs: Any) -> None:
        """Before saving, seal again what is under an older key. A value that no key opens is saved unchanged."""
        if (update_fields is not None and self.column not in update_fields) or self.column in (
            instance.get_deferred_fields()
        ):
            return
        sealed = getattr(instance, self.column)
        if sealed and not sealed.startswith(newest_prefix()):
            with contextlib.suppress(UnsealError):
                self.__set__(instance, self.__get__(instance, type(instance)))

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Sealed: ...
    @overload
    def __get__(self, instance: models.Model, owner: type[Any]) -> str: ...
    def __get__(self, instance: models.Model | None, owner: type[Any]) -> str | Sealed:
        """Unseal the column."""
        if instance is None:
            return self
        sealed = getattr(instance, self.column)
        return unseal(sealed, **self._where(instance)) if sealed else ""

    def __set__(self, instance: models.Model, plain: str) -> None:
        """Seal into the column."""
        setattr(instance, self.column, seal(plain, **self._where(instance)) if plain else "")

    def _where(self, instance: models.Model) -> dict[str, str]:
        return {"table": instance._meta.db_table, "row": str(instance.pk), "field": self.column}
