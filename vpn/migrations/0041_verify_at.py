"""When a comparison is due, instead of when the last one was. Workers of the version before still write that column."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0040_servers_over_ssh'),
    ]

    operations = [
        migrations.AddField(
            model_name='instanceobservation',
            name='verify_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField('instanceobservation', 'verified_at')],
        ),
    ]
