"""Where browsers measure the round trip to a region."""

from django.db import migrations, models

import vpn.validators


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0041_verify_at'),
    ]

    operations = [
        migrations.AddField(
            model_name='region',
            name='probe_url',
            field=models.CharField(blank=True, db_default='', default='', help_text='The address of a tiny file on a server of this region, which browsers fetch to measure the round trip; https, or http on this machine. Empty: nothing is measured.', max_length=200, validators=[vpn.validators.validate_probe_url]),
        ),
    ]
