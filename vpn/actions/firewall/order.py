"""The order of an instance's rules, written with few statements: an insertion moves a thousand rows by one place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import Case, F, PositiveIntegerField, Q, When

from portal.actions.acting import acted
from portal.models import Principal
from vpn.models import FirewallRule, Instance
from vpn.models.row_updates import update_rows

# Of rows side by side that move by the same number of places. Each row is compared with all of them.
_MOST_RUNS: Final = 16


class _Run(NamedTuple):
    """The former positions of rows side by side, and by how many places they move."""

    first: int
    last: int
    offset: int


def move_rules(locked: Instance, moves: Sequence[tuple[int, int, UUID]], *, by: Principal) -> None:
    """Move all rows of the locked instance: each has its former position, its new one, and its row's id.

    Rows that were inserted, removed or dragged move the others in a few runs, which take one UPDATE. Where there are
    more, as in a sorted list, each row takes its own.
    """
    runs = [run for run in _runs(moves) if run.offset]
    if len(runs) > _MOST_RUNS:
        update_rows(FirewallRule, ["position"], ["id"], [(new, pk) for former, new, pk in moves if new != former])
    elif runs:
        concerned = Q()
        for run in runs:
            concerned |= _is_in(run)
        cases = [When(_is_in(run), then=F("position") + run.offset) for run in runs]
        position = Case(*cases, output_field=PositiveIntegerField())
        locked.firewall_rules.filter(concerned).update(position=position)
    if runs:
        acted(by, "rules moved", locked)


def _runs(moves: Sequence[tuple[int, int, UUID]]) -> list[_Run]:
    """The runs in the order of former positions, which are distinct; removed rows are not there any more."""
    runs = []
    for offset, group in groupby(sorted(moves), key=lambda move: move[1] - move[0]):
        positions = [former for former, _, _ in group]
        runs.append(_Run(positions[0], positions[-1], offset))
    return runs


def _is_in(run: _Run) -> Q:
    return Q(position__range=(run.first, run.last))
