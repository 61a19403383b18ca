from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Who was deactivated before counts as deactivated by hand: nobody knows any more."""

    dependencies = [("portal", "0025_scim")]

    operations = [
        migrations.AddField(
            "membership", "deactivated_by_directory", models.BooleanField(default=False, db_default=False)
        ),
    ]
