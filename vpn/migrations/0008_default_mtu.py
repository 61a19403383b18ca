"""New instances begin with an MTU that passes PPPoE and mobile networks; those that are there keep theirs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vpn", "0007_operation_drift")]

    operations = [
        migrations.AlterField("instance", "mtu", models.PositiveSmallIntegerField(default=1328)),
    ]
