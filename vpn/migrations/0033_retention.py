"""Indexes by age, with which ended rows are found; plans say whether their list of outdated profiles was emptied."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0032_due_dates'),
    ]

    operations = [
        migrations.AddField(
            model_name='changeplan',
            name='outdated_dropped',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name='changeplan',
            index=models.Index(fields=['created_at'], name='plan_age'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['started_at'], name='operation_age'),
        ),
        migrations.AddIndex(
            model_name='traffic',
            index=models.Index(fields=['day'], name='traffic_age'),
        ),
    ]
