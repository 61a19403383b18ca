import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("vpn", "0065_boxes")]

    operations = [
        migrations.AddField("peer", "is_exit", models.BooleanField(blank=True, null=True)),
        migrations.AddField(
            "peer",
            "exit_site",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="exit_users",
                to="vpn.site",
            ),
        ),
    ]
