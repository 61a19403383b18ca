"""`python -m tests.bench.provisioning [NUMBER]`: many instances requested at once, until all are ready, then deleted.

Prints the rate, what each step took, and how long one more instance of another organization waited.
"""

from __future__ import annotations

import sys

from tests.bench.figures import say, say_where
from tests.bench.running import bench


def main(number: str = "20") -> None:
    """Start a portal, measure, and print."""
    say_where()
    with bench() as running:
        found = running.inside("tests.bench.requested", number)
    for what, seconds in found.items():
        say(what, f"{seconds:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
