"""An index of the peers over OpenVPN: an instance without one needs no OpenVPN listeners."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0036_peer_by_age'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(
                fields=['instance'],
                condition=models.Q(('protocol', 'openvpn'), ('former_protocol', 'openvpn'), _connector='OR'),
                name='peer_over_openvpn',
            ),
        ),
    ]
