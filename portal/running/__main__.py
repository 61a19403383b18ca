"""`python -m portal.running up` and `down`."""

from __future__ import annotations

import argparse
import sys

from portal.running.down import down
from portal.running.errors import CannotRunError
from portal.running.up import up


def main() -> int:
    """Run the command that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="portal.running")
    parser.add_argument("command", choices=["up", "down"])
    arguments = parser.parse_args()
    try:
        return {"up": up, "down": down}[arguments.command]()
    except CannotRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
