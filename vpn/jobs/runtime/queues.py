"""The queues of each process that runs jobs."""

from __future__ import annotations

from typing import Final

SPARE: Final = "spare"
# Of those processes that are not named after their only queue.
OF_PROCESS: Final = {
    # Both talk to servers outside of the portal, and need no driver.
    "mail": ["mail", "names"],
    # Takes a job of each in turn: none of them waits for more than two jobs of the others.
    "provision": ["knock", "destroy", "provision"],
    # For queues whose jobs may take seconds, so that a slow job does not block the others.
    SPARE: ["urgent", "apply", "destroy", "provision"],
}
# A job that waits for longer has a worker that is busy: the spare one takes it. It has no session with the server yet.
IS_BUSY_AFTER: Final = 0.3  # seconds
