"""What the portal logs, and how."""

from __future__ import annotations

from typing import Any


def logging_to_streams(level: str) -> dict[str, Any]:
    """Python's description of the log. It carries ids and reasons, never values of forms, bodies or specifications."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            "audit": {"()": "portal.audit.line.JsonLine"},
        },
        "filters": {"not_yet": {"()": "portal.web.later.NotYetIsNoError"}},
        "handlers": {
            "stream": {"class": "logging.StreamHandler", "formatter": "line"},
            "audit": {"class": "logging.StreamHandler", "formatter": "audit"},
        },
        "root": {"handlers": ["stream"], "level": level},
        "loggers": {
            "audit": {"handlers": ["audit"], "level": "INFO", "propagate": False},
            "django.request": {"filters": ["not_yet"]},
            "django.server": {"propagate": True},
            "rq": {"level": "WARNING"},
        },
    }
