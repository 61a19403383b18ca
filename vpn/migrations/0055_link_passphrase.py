from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vpn", "0054_two_devices")]

    operations = [
        migrations.AddField(
            "profilelink", "passphrase_hash", models.CharField(max_length=128, blank=True, default="", db_default="")
        ),
        migrations.AddField(
            "profilelink", "proven_digest", models.CharField(max_length=64, blank=True, default="", db_default="")
        ),
        migrations.AddField(
            "profilelink", "wrong_passphrases", models.PositiveSmallIntegerField(default=0, db_default=0)
        ),
    ]
