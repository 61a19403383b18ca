"""When a scheduled job last finished."""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0034_ports_of_a_server'),
    ]

    operations = [
        migrations.AddField(
            model_name='tick',
            name='finished_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), default=django.utils.timezone.now),
        ),
    ]
