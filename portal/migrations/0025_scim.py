from __future__ import annotations

from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    """Nullable columns: SQLite appends them without making the tables anew. The token's choices are no part of it."""

    dependencies = [("portal", "0024_unused_days")]

    operations = [
        migrations.AddField("membership", "directory_name", models.CharField(max_length=254, null=True, blank=True)),
        migrations.AddField("membership", "external_id", models.CharField(max_length=254, null=True, blank=True)),
        migrations.AddField("group", "external_id", models.CharField(max_length=254, null=True, blank=True)),
        migrations.AddField("group", "provisioned_since", models.DateTimeField(null=True, blank=True)),
        migrations.AddConstraint(
            "membership",
            models.UniqueConstraint(Lower("directory_name"), "organization", name="membership_directory_name_unique"),
        ),
        migrations.AddConstraint(
            "membership",
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="membership_external_id_unique",
            ),
        ),
        migrations.AddConstraint(
            "group",
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="group_external_id_unique",
            ),
        ),
        migrations.AlterField(
            "apitoken",
            "ceiling",
            models.CharField(
                max_length=10,
                choices=[("read", "Read"), ("manage", "Read and change"), ("scim", "Provision people (SCIM)")],
                default="manage",
                db_default="manage",
            ),
        ),
    ]
