"""Tables of their own for what hubs report, filled from the columns that had it. The columns go with the next one."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

INSTANCES = "observed_at, silent_resolvers, knocked_at, verified_at"
PEERS = (
    "public_key, last_handshake, connected_from, endpoint, push_generation, "
    "received_bytes, sent_bytes, counter_received, counter_sent"
)
_SEEN = "last_handshake IS NOT NULL OR connected_from IS NOT NULL OR endpoint <> '' OR received_bytes + sent_bytes > 0"


def _back(table: str, observations: str, key: str, columns: list[str]) -> str:
    assigned = ", ".join(f"{column} = o.{column}" for column in columns)
    return f"UPDATE {table} SET {assigned} FROM {observations} o WHERE o.{key} = {table}.id"  # noqa: S608 - names of our own


def give_defaults(apps: Any, schema_editor: Any) -> None:
    """Let a newer portal, which does not know the columns, insert rows. On SQLite no other portal runs meanwhile."""
    if schema_editor.connection.vendor != "postgresql":
        return
    for column in ("received_bytes", "sent_bytes", "counter_received", "counter_sent"):
        schema_editor.execute(f"ALTER TABLE vpn_peer ALTER COLUMN {column} SET DEFAULT 0")
    schema_editor.execute("ALTER TABLE vpn_peer ALTER COLUMN endpoint SET DEFAULT ''")
    schema_editor.execute("ALTER TABLE vpn_instance ALTER COLUMN silent_resolvers SET DEFAULT '[]'")


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0028_operation_asked_by'),
    ]

    operations = [
        migrations.CreateModel(
            name='InstanceObservation',
            fields=[
                ('instance', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='observation', serialize=False, to='vpn.instance')),
                ('looked_at', models.DateTimeField(blank=True, null=True)),
                ('observed_at', models.DateTimeField(blank=True, null=True)),
                ('silent_resolvers', models.JSONField(blank=True, default=list)),
                ('knocked_at', models.DateTimeField(blank=True, null=True)),
                ('verified_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='PeerObservation',
            fields=[
                ('peer', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='observation', serialize=False, to='vpn.peer')),
                ('public_key', models.CharField(max_length=44)),
                ('last_handshake', models.DateTimeField(blank=True, null=True)),
                ('connected_from', models.DateTimeField(blank=True, null=True)),
                ('endpoint', models.CharField(blank=True, max_length=60)),
                ('push_generation', models.PositiveBigIntegerField(blank=True, null=True)),
                ('received_bytes', models.PositiveBigIntegerField(default=0)),
                ('sent_bytes', models.PositiveBigIntegerField(default=0)),
                ('counter_received', models.PositiveBigIntegerField(default=0)),
                ('counter_sent', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.RunPython(give_defaults, migrations.RunPython.noop),
        migrations.RunSQL(
            f"INSERT INTO vpn_instanceobservation (instance_id, {INSTANCES}) SELECT id, {INSTANCES} FROM vpn_instance",  # noqa: S608
            _back("vpn_instance", "vpn_instanceobservation", "instance_id", INSTANCES.split(", ")),
        ),
        # A peer that was never seen has no row.
        migrations.RunSQL(
            f"INSERT INTO vpn_peerobservation (peer_id, {PEERS}) SELECT id, {PEERS} FROM vpn_peer WHERE {_SEEN}",  # noqa: S608
            _back("vpn_peer", "vpn_peerobservation", "peer_id", PEERS.split(", ")[1:]),
        ),
    ]
