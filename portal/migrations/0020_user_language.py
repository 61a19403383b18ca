from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A database default: SQLite appends the column without making the table anew."""

    dependencies = [("portal", "0019_invited_until")]

    operations = [
        migrations.AddField("user", "language", models.CharField(max_length=8, blank=True, default="", db_default="")),
    ]
