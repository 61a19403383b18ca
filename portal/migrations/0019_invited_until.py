from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A nullable column: SQLite appends it without making the table anew."""

    dependencies = [("portal", "0018_operators")]

    operations = [
        migrations.AddField("membership", "invited_until", models.DateTimeField(null=True, blank=True)),
    ]
