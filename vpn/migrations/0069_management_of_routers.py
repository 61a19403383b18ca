"""Who may manage the routers of an instance through the tunnel, and by which services."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("vpn", "0068_site_alias")]

    operations = [
        migrations.AddField(
            "instance",
            name,
            models.JSONField(default=list, db_default=Value([], models.JSONField()), blank=True),
        )
        for name in ("management_services", "management_sources")
    ]
