from __future__ import annotations

from django.db import migrations, models

import vpn.validators


class Migration(migrations.Migration):
    """Nullable columns: SQLite appends them without making the table anew. The help text changes nothing there."""

    dependencies = [("vpn", "0047_clouds")]

    operations = [
        migrations.AddField("server", "work_token", models.UUIDField(null=True, blank=True, editable=False)),
        migrations.AddField("server", "work_expires_at", models.DateTimeField(null=True, blank=True, editable=False)),
        migrations.AlterField(
            "region",
            "probe_url",
            models.CharField(
                max_length=200,
                blank=True,
                default="",
                db_default="",
                validators=[vpn.validators.validate_probe_url],
                help_text="The address of a tiny file on a web server in this region, which browsers fetch to measure "
                "the round trip; https, or http on this machine. Hubs offer none, and it needs no CORS header. Empty: "
                "nothing is measured.",
            ),
        ),
    ]
