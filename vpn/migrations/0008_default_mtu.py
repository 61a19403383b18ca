"""New instances begin with an MTU that passes PPPoE and mobile networks; those that are there keep theirs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vpn", "0005_labels")]

    operations = [
        migrations.AlterField("instance", "mtu", models.PositiveSmallIntegerField(default=1328)),
    ]
