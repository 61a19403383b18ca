from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("vpn", "0067_routers")]

    operations = [
        migrations.AddField("site", "alias", models.JSONField(blank=True, null=True)),
    ]
