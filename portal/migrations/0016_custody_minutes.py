from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0015_journal_chain")]

    operations = [
        migrations.AddField("organization", "custody_minutes", models.PositiveIntegerField(null=True, blank=True)),
    ]
