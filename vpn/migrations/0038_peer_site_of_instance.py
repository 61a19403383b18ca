"""An index of an instance's sites, to find those that it does not have yet."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0037_peer_over_openvpn'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(condition=models.Q(('site__isnull', False)), fields=['instance', 'site'], name='peer_site_of_instance'),
        ),
    ]
