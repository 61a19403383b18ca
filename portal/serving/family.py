"""`python -m portal.serving.family NAME... --as-service NAME... --on-demand NAME...`: run processes of the portal.

They share one loaded application. Those after `--as-service` drop root's rights. Those also named after `--on-demand`
run when there is work for them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from importlib import import_module

import django
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from portal.garbage import freeze_loaded
from portal.running.account import service_account
from portal.running.confine import PROPAGATION, Confinement
from portal.running.drop import become_service
from portal.running.family import run_family
from portal.running.options import read_options


def main(names: list[str], as_service: list[str], on_demand: list[str]) -> None:
    """Load everything once, and fork."""
    options = read_options(os.environ)
    confinement = Confinement(options, service_account(root=options.root), os.environ.get(PROPAGATION, ""))
    django.setup()
    members = {name: _program(name) for name in [*names, *as_service]}
    prepare()
    connections.close_all()
    freeze_loaded()
    run_family(members, dict.fromkeys(as_service, partial(become_service, confinement)), on_demand)


def prepare() -> None:
    """Let Django compute once what each process would compute at its first query of each model."""
    for model in apps.get_models():
        str(QuerySet(model).query)
    # cryptography imports it with the first private key.
    import_module("cryptography.hazmat.backends.openssl")


def _program(name: str) -> Callable[[], object]:
    """What the process of this name runs: the web server, or a worker. What it needs is loaded now."""
    if name == "web":
        from portal.serving.web import load, serve  # workers have no use for uvicorn

        load()
        return partial(serve, settings.BIND, settings.PORT)
    program: Callable[[str], object] = import_string(settings.RUN_PROCESS)
    return partial(program, name)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    parser = argparse.ArgumentParser(prog="portal.serving.family")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--as-service", nargs="*", default=[])
    parser.add_argument("--on-demand", nargs="*", default=[])
    arguments = parser.parse_args()
    main(arguments.names, arguments.as_service, arguments.on_demand)
