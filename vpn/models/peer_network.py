"""The networks of site peers, one row each, so that an index finds overlaps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db import connection, models

from vpn.models.instance import Instance
from vpn.models.peer import Peer
from vpn.validators import parse_network
from vpn.wire.network_keys import KEY_LENGTH, key_of

# A list of texts, or of pairs, as a table: one parameter and one statement, however many they are. No user input is
# part of these statements.
_GIVEN: Final = {
    "sqlite": "(SELECT value FROM json_each(%s)) AS given",
    "postgresql": "(SELECT jsonb_array_elements_text(%s::jsonb) AS value) AS given",
}
_RANGES: Final = {
    "sqlite": "(SELECT value ->> 0 AS first, value ->> 1 AS last FROM json_each(%s)) AS given",
    "postgresql": (
        "(SELECT pair ->> 0 AS first, pair ->> 1 AS last FROM jsonb_array_elements(%s::jsonb) AS pair) AS given"
    ),
}
_TAKE_AWAY: Final = {
    vendor: f"DELETE FROM vpn_peernetwork WHERE peer_id = %s AND key NOT IN (SELECT value FROM {given})"  # noqa: S608
    for vendor, given in _GIVEN.items()
}
_ADD: Final = {
    vendor: (
        f"INSERT INTO vpn_peernetwork (peer_id, instance_id, key) SELECT DISTINCT {ids}, value FROM {_GIVEN[vendor]} "  # noqa: S608
        "WHERE true ON CONFLICT (peer_id, key) DO NOTHING"
    )
    for vendor, ids in (("sqlite", "%s, %s"), ("postgresql", "%s::uuid, %s::uuid"))
}
# CROSS JOIN: SQLite keeps this order of tables, so that it iterates over the given keys and not over all rows.
_WITH_KEYS: Final = {
    vendor: (
        f"SELECT rows.id FROM {given} CROSS JOIN vpn_peernetwork AS rows "  # noqa: S608
        "WHERE rows.instance_id = %s AND rows.key = given.value"
    )
    for vendor, given in _GIVEN.items()
}
_BETWEEN: Final = {
    vendor: (
        f"SELECT rows.id FROM {given} CROSS JOIN vpn_peernetwork AS rows "  # noqa: S608
        "WHERE rows.instance_id = %s AND rows.key > given.first AND rows.key <= given.last LIMIT %s"
    )
    for vendor, given in _RANGES.items()
}


class PeerNetwork(models.Model):
    """One network that a peer advertises. `follow_subnets` derives these rows from `Peer.subnets`."""

    peer = models.ForeignKey(Peer, on_delete=models.CASCADE, related_name="networks")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    # As vpn.wire.network_keys has it.
    key = models.CharField(max_length=KEY_LENGTH)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["instance", "key"], name="peer_network_order")]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["peer", "key"], name="peer_network_once")
        ]

    def __str__(self) -> str:
        return self.key


def follow_subnets(peers: Iterable[Peer]) -> None:
    """Write the rows that these peers advertise; two statements for each peer, and only differences are written."""
    with connection.cursor() as cursor:
        for peer in peers:
            keys = json.dumps([key_of(parse_network(text)) for text in peer.subnets])
            ids = [_value(peer.pk), _value(peer.instance_id)]
            cursor.execute(_TAKE_AWAY[connection.vendor], [ids[0], keys])
            cursor.execute(_ADD[connection.vendor], [*ids, keys])


def with_keys(instance_id: UUID, keys: Iterable[str]) -> list[int]:
    """The ids of an instance's rows with these keys; one statement, one index look-up for each key."""
    return _ids(_WITH_KEYS[connection.vendor], [json.dumps(sorted(keys)), _value(instance_id)])


def between_keys(instance_id: UUID, ranges: Sequence[tuple[str, str]], most: int) -> list[int]:
    """The ids of at most `most` rows of an instance in these ranges of keys, without each range's first key."""
    return _ids(_BETWEEN[connection.vendor], [json.dumps(sorted(ranges)), _value(instance_id), most])


def _ids(sql: str, parameters: list[Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [pk for (pk,) in cursor.fetchall()]


def _value(pk: UUID) -> Any:
    """An id in the database's form."""
    return Peer._meta.pk.get_db_prep_value(pk, connection)
