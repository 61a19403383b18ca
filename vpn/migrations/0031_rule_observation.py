"""A table of its own for what hubs count of rules, filled from the columns that had it, which go."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vpn', '0030_observed_columns_gone'),
    ]

    operations = [
        migrations.CreateModel(
            name='RuleObservation',
            fields=[
                ('rule', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='observation', serialize=False, to='vpn.firewallrule')),
                ('hits', models.PositiveBigIntegerField(default=0)),
                ('counter_hits', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.RunSQL(
            "INSERT INTO vpn_ruleobservation (rule_id, hits, counter_hits) "
            "SELECT id, hits, counter_hits FROM vpn_firewallrule WHERE hits + counter_hits > 0",
            "UPDATE vpn_firewallrule SET hits = o.hits, counter_hits = o.counter_hits "
            "FROM vpn_ruleobservation o WHERE o.rule_id = vpn_firewallrule.id",
        ),
        migrations.RemoveField('firewallrule', 'hits'),
        migrations.RemoveField('firewallrule', 'counter_hits'),
    ]
