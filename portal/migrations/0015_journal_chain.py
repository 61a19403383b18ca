from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('portal', '0014_token_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='JournalHead',
            fields=[
                ('organization_id', models.UUIDField(primary_key=True, serialize=False)),
                ('begun_at', models.DateTimeField()),
                ('position', models.PositiveBigIntegerField(default=0)),
                ('hash', models.CharField(blank=True, max_length=64)),
                ('anchor_position', models.PositiveBigIntegerField(default=0)),
                ('anchor_hash', models.CharField(blank=True, max_length=64)),
                ('signature', models.CharField(max_length=64)),
                ('key_sealed', models.TextField()),
            ],
            options={
                'verbose_name': 'head of a journal',
                'verbose_name_plural': 'journals',
            },
        ),
        migrations.AddField(
            model_name='organization',
            name='journal_days',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='position',
            field=models.PositiveBigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='hash',
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('position__isnull', True)), fields=['organization_id', 'id'], name='journal_unsealed'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.UniqueConstraint(condition=models.Q(('position__isnull', False)), fields=('organization_id', 'position'), name='journal_position'),
        ),
    ]
