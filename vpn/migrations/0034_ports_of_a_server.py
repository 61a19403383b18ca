"""Ports are unique on a server, no longer in the whole portal."""

from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError


def refuse_shared(apps, schema_editor):
    bases = apps.get_model('vpn', 'Instance').objects.order_by().values('port_base')
    shared = bases.annotate(number=models.Count('pk')).filter(number__gt=1).count()
    if shared:
        raise IrreversibleError(f'{shared} ports belong to instances on several servers; the release before allows one each')


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0033_retention'),
    ]

    operations = [
        migrations.AlterField(
            model_name='instance',
            name='port_base',
            field=models.PositiveIntegerField(db_index=True),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.UniqueConstraint(fields=('server', 'port_base'), name='instance_port_unique_on_server'),
        ),
        # Last, so that it comes first on the way back.
        migrations.RunPython(migrations.RunPython.noop, refuse_shared),
    ]
