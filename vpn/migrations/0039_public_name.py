"""Public names, with what was published and observed of them; the step that publishes one."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0038_peer_site_of_instance'),
    ]

    operations = [
        migrations.AlterField(
            model_name='operationstep',
            name='name',
            field=models.CharField(choices=[('server', 'Prepare the server'), ('certificates', "Issue the hub's certificates"), ('hub', 'Start the hub'), ('name', 'Publish the name'), ('proof', 'Prove that packets flow'), ('apply', 'Bring the hub up to date'), ('teardown', 'Take the hub down')], max_length=20),
        ),
        migrations.CreateModel(
            name='PublicName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=253, unique=True)),
                ('owner', models.UUIDField(default=uuid.uuid4, editable=False)),
                ('published', models.JSONField(blank=True, default=list)),
                ('resolved', models.JSONField(blank=True, default=list)),
                ('repaired_at', models.DateTimeField(blank=True, null=True)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, default=django.utils.timezone.now)),
                ('finding', models.JSONField(blank=True, null=True)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('failures', models.PositiveSmallIntegerField(default=0)),
                ('instance', models.OneToOneField(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='public_name', to='vpn.instance')),
            ],
        ),
    ]
