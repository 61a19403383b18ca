"""A site's version is kept as the router shows it, which is longer than its number."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vpn", "0011_mail_and_outdated")]

    operations = [
        migrations.AlterField("site", "platform_version", models.CharField(blank=True, max_length=200)),
    ]
