"""Storage of static files that finds each address once: a page has two dozen."""

from __future__ import annotations

from functools import lru_cache

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise ships no types
    """The files of one release, which do not change while a process runs."""

    @lru_cache(maxsize=500)  # noqa: B019 - a process has one storage, as long as it runs
    def url(self, name: str, force: bool = False) -> str:
        """Return the address of a file, with the digest of its content. Raises ValueError for an unknown one."""
        return str(super().url(name, force))
