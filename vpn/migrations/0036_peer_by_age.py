"""An index of an instance's peers by age, in whose order the API lists them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0035_tick_finished'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(fields=['instance', 'created_at', 'id'], name='peer_by_age'),
        ),
    ]
