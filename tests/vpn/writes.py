"""What happens within write transactions: how many statements, and how many steps of Python's work.

A step is a call of a function, Python's or C's, as sys.setprofile sees it: the same rows always take the same steps, on
any machine. A hundred thousand of them take about 20 ms where nothing else runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from django.db import connection
from django.db.transaction import Atomic


@dataclass
class Writes:
    """The most that one outermost transaction did."""

    statements: int = 0
    steps: int = 0
    seconds: float = 0.0
    # Of this thread's processor: a busy machine has no part in it.
    processor: float = 0.0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, *, with_steps: bool = True) -> Iterator[Writes]:
    """Count within the outermost transactions of this thread; without steps, the seconds are those of real life."""
    found = Writes()
    depth = statements = steps = 0
    began = (0.0, 0.0)
    enter, leave = Atomic.__enter__, Atomic.__exit__

    def step(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        if event in {"call", "c_call"}:
            steps += 1

    def count(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        nonlocal statements
        statements += bool(depth) and not sql.startswith(("SAVEPOINT", "RELEASE"))
        return execute(sql, params, many, context)

    def entering(block: Atomic) -> None:
        nonlocal depth, statements, steps, began
        enter(block)
        depth += 1
        if depth == 1:
            statements = steps = 0
            began = time.perf_counter(), time.thread_time()
            if with_steps:
                sys.setprofile(step)

    def leaving(block: Atomic, *exception: Any) -> Any:
        nonlocal depth
        depth -= 1
        try:
            return leave(block, *exception)
        finally:
            if depth == 0:
                sys.setprofile(None)
                found.statements = max(found.statements, statements)
                found.steps = max(found.steps, steps)
                found.seconds = max(found.seconds, time.perf_counter() - began[0])
                found.processor = max(found.processor, time.thread_time() - began[1])

    with monkeypatch.context() as patch, connection.execute_wrapper(count):
        patch.setattr(Atomic, "__enter__", entering)
        patch.setattr(Atomic, "__exit__", leaving)
        yield found
