"""An index of an instance's delivered profiles by time, to find those that were fetched lately."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0042_region_probe_url'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(condition=models.Q(('delivered_at__isnull', False)), fields=['instance', 'delivered_at'], name='peer_delivered'),
        ),
    ]
