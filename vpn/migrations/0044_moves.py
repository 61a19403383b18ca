"""Moves of hubs between servers, and the hubs that instances left on servers."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0043_peer_delivered'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='earlier_addresses',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name='instance',
            name='moved_epoch',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='operation',
            name='kind',
            field=models.CharField(choices=[('provision', 'Create the hub'), ('apply', 'Apply changes'), ('destroy', 'Remove the hub'), ('move', 'Move the hub'), ('rebuild', 'Rebuild the hub')], max_length=10),
        ),
        migrations.AlterField(
            model_name='operationstep',
            name='name',
            field=models.CharField(choices=[('server', 'Prepare the server'), ('certificates', "Issue the hub's certificates"), ('hub', 'Start the hub'), ('name', 'Publish the name'), ('proof', 'Prove that packets flow'), ('apply', 'Bring the hub up to date'), ('teardown', 'Take the hub down'), ('new-server', 'Prepare the new server'), ('new-hub', 'Start the new hub'), ('new-proof', 'Prove that packets flow through the new hub'), ('switch', 'Switch to the new hub'), ('hand-over', "Forward the former server's ports"), ('replace', 'Replace the hub on its server')], max_length=20),
        ),
        migrations.CreateModel(
            name='Move',
            fields=[
                ('instance', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='move', serialize=False, to='vpn.instance')),
                ('port_base', models.PositiveIntegerField()),
                ('epoch', models.PositiveIntegerField()),
                ('server_certificate', models.TextField(blank=True)),
                ('server_key_sealed', models.TextField(blank=True)),
                ('certificate_hosts', models.CharField(blank=True, max_length=400)),
                ('operation', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='move', to='vpn.operation')),
                ('target', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='moves', to='vpn.server')),
            ],
        ),
        migrations.CreateModel(
            name='RetiredHub',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('hub', models.CharField(max_length=10)),
                ('port_base', models.PositiveIntegerField()),
                ('epoch', models.PositiveIntegerField()),
                ('forwards_to', models.JSONField(blank=True, default=list)),
                ('forwards_to_port', models.PositiveIntegerField(blank=True, null=True)),
                ('forwarding_since', models.DateTimeField(blank=True, null=True)),
                ('packets', models.PositiveBigIntegerField(default=0)),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('retired_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('finding', models.JSONField(blank=True, null=True)),
                ('failures', models.PositiveSmallIntegerField(default=0)),
                ('instance', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='retired_hubs', to='vpn.instance')),
                ('server', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='retired_hubs', to='vpn.server')),
            ],
            options={
                'ordering': ['retired_at'],
                'constraints': [models.UniqueConstraint(fields=('hub', 'server'), name='retired_hub_once_on_server')],
            },
        ),
    ]
