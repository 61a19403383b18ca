"""Everyone who is here already gets a slug."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from portal.naming import dns_label, free_label

LENGTH = 40


def give_slugs(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The oldest member keeps the plain slug; others of that name get a number."""
    Membership = apps.get_model("portal", "Membership")
    taken: dict[object, set[str]] = {}
    for organization, slug in Membership.objects.exclude(slug="").values_list("organization", "slug"):
        taken.setdefault(organization, set()).add(slug)
    for member in Membership.objects.filter(slug="").select_related("user").order_by("created_at", "pk"):
        address = dns_label(member.user.email.partition("@")[0], fallback="member", longest=LENGTH)
        slugs = taken.setdefault(member.organization_id, set())
        member.slug = free_label(dns_label(member.user.name, fallback=address, longest=LENGTH), slugs, longest=LENGTH)
        slugs.add(member.slug)
        member.save(update_fields=["slug"])


class Migration(migrations.Migration):
    dependencies = [("portal", "0002_groups")]

    operations = [migrations.RunPython(give_slugs, migrations.RunPython.noop)]
