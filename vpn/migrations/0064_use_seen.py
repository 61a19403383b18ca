from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("vpn", "0063_mailed_links")]

    operations = [
        migrations.AddField("instanceobservation", "use_seen_at", models.DateTimeField(blank=True, null=True)),
    ]
