"""Limits of the web server per client. Sizes are in bytes, times in seconds."""

from __future__ import annotations

from typing import Final

WORKERS: Final = 2
THREADS: Final = 8  # of a worker, for the application
THREADS_PER_ADDRESS: Final = 5

# Several times the size of cookies and a long URL.
HEAD_SIZE: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
# Django's limit for a form; the API's is smaller.
BODY_SIZE: Final = 2_621_440
BODY_SECONDS: Final = 30.0
# CPU time to parse one request, in slices: a body in chunks of one byte would delay all others.
READ_SECONDS: Final = 0.3
READ_SLICE: Final = 8 * 1024
# Larger bodies are buffered in a file.
BODY_IN_MEMORY: Final = 64 * 1024
KEEP_ALIVE_SECONDS: Final = 5
# For each 64 KiB of a response: 3 KiB a second.
WRITE_SECONDS: Final = 20.0

# Of one worker: responses of more than LARGE bytes that clients have not read yet.
LARGE: Final = 256 * 1024
UNSENT_SIZE: Final = 128 * 1024 * 1024

# Of one worker. An office behind one address has 20 people with six connections each.
CONNECTIONS_PER_ADDRESS: Final = 128
CONNECTIONS: Final = 1000
# Requests that wait for a job without a thread.
WAITING: Final = 100

GRACEFUL_SECONDS: Final = 3
HEALTH_SECONDS: Final = 60
