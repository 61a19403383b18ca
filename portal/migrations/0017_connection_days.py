from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A nullable column: SQLite appends it without making the table anew."""

    dependencies = [("portal", "0016_custody_minutes")]

    operations = [
        migrations.AddField("organization", "connection_days", models.PositiveIntegerField(null=True, blank=True)),
    ]
