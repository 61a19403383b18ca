from django.db import migrations, models


class Migration(migrations.Migration):
    """A profile that is used on two devices at once."""

    dependencies = [("vpn", "0053_revisions")]

    operations = [
        migrations.AddField(
            "peerobservation", "trail", models.CharField(max_length=400, blank=True, default="", db_default="")
        ),
        migrations.AddField("peerobservation", "twofold_from", models.DateTimeField(null=True, blank=True)),
        migrations.AddField("peerobservation", "twofold_at", models.DateTimeField(null=True, blank=True)),
    ]
