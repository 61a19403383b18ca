"""Dates at which certificates are due to be renewed, in columns with indices; and an index of when peers expire."""

from datetime import timedelta

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


# A peer's certificate lives 1,828 days. It is due in the last third; one that its authority cuts short, slightly before.
THIRD = timedelta(days=1828) / 3


def fill(apps, schema_editor):
    peers = apps.get_model('vpn', 'Peer').objects.filter(certificate_expires_at__isnull=False)
    peers.update(certificate_due_at=models.F('certificate_expires_at') - THIRD)


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0031_rule_observation'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='certificate_hosts',
            field=models.CharField(blank=True, db_default='', default='', max_length=400),
        ),
        migrations.AddField(
            model_name='instance',
            name='certificates_due_at',
            field=models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), db_index=True, default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name='peer',
            name='certificate_due_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='peer_expires'),
        ),
        migrations.AddIndex(
            model_name='peer',
            index=models.Index(condition=models.Q(('certificate_due_at__isnull', False)), fields=['certificate_due_at'], name='peer_certificate_due'),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
