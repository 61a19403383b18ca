"""Which OpenVPN sessions were not pushed yet what changed."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vpn", "0013_listener_proof")]

    operations = [
        migrations.AddField(
            model_name="peer",
            name="push_generation",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
    ]
