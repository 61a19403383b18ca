from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A nullable column: SQLite appends it without making the table anew. The role's choices are no part of it."""

    dependencies = [("portal", "0017_connection_days")]

    operations = [
        migrations.AddField("membership", "instance_ids", models.JSONField(null=True, blank=True, default=None)),
        migrations.AlterField(
            "membership",
            "role",
            models.CharField(
                max_length=10,
                choices=[
                    ("admin", "Admin"),
                    ("auditor", "Auditor"),
                    ("operator", "Operator"),
                    ("member", "Member"),
                ],
                default="member",
            ),
        ),
    ]
