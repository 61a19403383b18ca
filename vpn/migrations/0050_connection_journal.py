from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0049_key_due'),
    ]

    operations = [
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('organization_id', models.UUIDField()),
                ('instance_id', models.UUIDField()),
                ('instance_name', models.CharField(max_length=200)),
                ('peer_id', models.UUIDField()),
                ('peer_name', models.CharField(max_length=200)),
                ('person_id', models.UUIDField(blank=True, null=True)),
                ('person', models.CharField(blank=True, max_length=200)),
                ('site_id', models.UUIDField(blank=True, null=True)),
                ('protocol', models.CharField(choices=[('wireguard', 'WireGuard'), ('openvpn', 'OpenVPN')], max_length=10)),
                ('listener', models.CharField(blank=True, max_length=6)),
                ('address_v4', models.GenericIPAddressField(protocol='IPv4')),
                ('address_v6', models.GenericIPAddressField(protocol='IPv6')),
                ('subnets', models.UUIDField(blank=True, null=True)),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, choices=[('left', 'Left'), ('replaced', 'Connected anew'), ('revoked', 'Access revoked'), ('expired', 'Expired'), ('removed', 'Peer deleted'), ('renewed', 'Keys renewed'), ('moved', 'Hub moved or rebuilt'), ('deleted', 'Instance deleted'), ('unseen', 'Not observed')], max_length=10)),
                ('endpoint', models.CharField(blank=True, max_length=60)),
                ('last_endpoint', models.CharField(blank=True, max_length=60)),
                ('endpoint_changes', models.PositiveIntegerField(default=0)),
                ('received_from', models.PositiveBigIntegerField(default=0)),
                ('sent_from', models.PositiveBigIntegerField(default=0)),
                ('received_to', models.PositiveBigIntegerField(blank=True, null=True)),
                ('sent_to', models.PositiveBigIntegerField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['organization_id', 'id'], name='connection_by_time'), models.Index(fields=['organization_id', 'address_v4', 'id'], name='connection_by_v4'), models.Index(fields=['organization_id', 'address_v6', 'id'], name='connection_by_v6'), models.Index(condition=models.Q(('subnets__isnull', False)), fields=['subnets', 'id'], name='connection_by_subnets'), models.Index(fields=['peer_id', 'id'], name='connection_by_peer'), models.Index(fields=['instance_id', 'id'], name='connection_by_instance'), models.Index(condition=models.Q(('person_id__isnull', False)), fields=['person_id', 'id'], name='connection_by_person'), models.Index(condition=models.Q(('site_id__isnull', False)), fields=['site_id', 'id'], name='connection_by_site'), models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['instance_id'], name='connection_open')],
            },
        ),
        migrations.CreateModel(
            name='ConnectionSubnet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('set_id', models.UUIDField()),
                ('organization_id', models.UUIDField()),
                ('peer_id', models.UUIDField()),
                ('network', models.CharField(max_length=43)),
            ],
            options={
                'indexes': [models.Index(fields=['organization_id', 'network'], name='connection_subnet_search'), models.Index(fields=['peer_id'], name='connection_subnet_peer')],
                'constraints': [models.UniqueConstraint(fields=('set_id', 'network'), name='connection_subnet_once')],
            },
        ),
    ]
