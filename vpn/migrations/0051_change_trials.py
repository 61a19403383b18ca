from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table of its own, and a nullable column, which SQLite appends without making the table anew."""

    dependencies = [("vpn", "0050_connection_journal")]

    operations = [
        migrations.AddField("server", "agent_features", models.JSONField(null=True, blank=True, editable=False)),
        migrations.CreateModel(
            "ChangeTrial",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        max_length=8, choices=[("running", "Running"), ("returned", "Returned")], default="running"
                    ),
                ),
                ("seconds", models.PositiveIntegerField()),
                ("former", models.JSONField()),
                ("changed", models.JSONField(default=list)),
                ("asked_by", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ends_at", models.DateTimeField(null=True, blank=True)),
                ("returned_at", models.DateTimeField(null=True, blank=True)),
                ("was_unconfirmed", models.BooleanField(default=False)),
                (
                    "instance",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="trial", to="vpn.instance"
                    ),
                ),
            ],
        ),
    ]
