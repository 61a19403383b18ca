"""How much of the web server one client may take. Sizes are in bytes, times in seconds."""

from __future__ import annotations

from typing import Final

WORKERS: Final = 2
THREADS: Final = 8  # a worker's, for the application alone
THREADS_PER_ADDRESS: Final = 5

# Cookies and a long address fit in several times.
HEAD_SIZE: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
# Django's own limit of a form; the API's is smaller.
BODY_SIZE: Final = 2_621_440
BODY_SECONDS: Final = 30.0
# Of processor time for one request's bytes, in slices: a body in chunks of one byte would keep all others waiting.
READ_SECONDS: Final = 0.3
READ_SLICE: Final = 8 * 1024
# What is larger lies in a file until it is whole.
BODY_IN_MEMORY: Final = 64 * 1024
KEEP_ALIVE_SECONDS: Final = 5
# For the next 64 KiB of an answer: 3 KiB a second.
WRITE_SECONDS: Final = 20.0

# Of one worker: answers of more than LARGE bytes that their clients have not taken yet.
LARGE: Final = 256 * 1024
UNSENT_SIZE: Final = 128 * 1024 * 1024

# Of one worker. An office behind one address has 20 people with six connections each.
CONNECTIONS_PER_ADDRESS: Final = 128
CONNECTIONS: Final = 1000
# Requests that wait without a thread for what a job is doing.
WAITING: Final = 100

GRACEFUL_SECONDS: Final = 3
HEALTH_SECONDS: Final = 60
