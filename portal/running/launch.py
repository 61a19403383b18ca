"""`python -m portal.running.launch NAME`: execute one of the portal's processes. Called by the supervisor."""

from __future__ import annotations

import os
import sys

from portal.running.account import service_account
from portal.running.confine import PROPAGATION, Confinement
from portal.running.options import read_options
from portal.running.programs import build_program


def main(name: str) -> None:
    """Drop unneeded rights, and execute the program."""
    options = read_options(os.environ)
    confinement = Confinement(options, service_account(root=options.root), os.environ[PROPAGATION])
    program = build_program(name, options, confinement)
    if program.confined:
        command = confinement.command(program.argv)
        environment = confinement.environment(os.environ)
    else:
        command = ["setpriv", "--pdeathsig", "TERM", *program.argv]
        environment = dict(os.environ)
    os.chdir(options.clone)
    os.execvpe(command[0], command, environment)  # noqa: S606 -- an argument list, and no shell


if __name__ == "__main__":
    main(sys.argv[1])
