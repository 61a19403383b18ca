from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """No key becomes due by an upgrade: the window of an existing peer opens with the next reveal of its profile."""

    dependencies = [("vpn", "0048_server_work")]

    operations = [
        migrations.AddField("peer", "key_due_at", models.DateTimeField(null=True, blank=True)),
        migrations.AddIndex(
            "peer",
            models.Index(fields=["key_due_at"], condition=models.Q(key_due_at__isnull=False), name="peer_key_due"),
        ),
    ]
