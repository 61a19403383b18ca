"""The peers that are here already get the labels of their names."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from portal.naming import dns_label, free_label


def give_labels(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The oldest keeps the plain label; others of that name get a number."""
    Peer = apps.get_model("vpn", "Peer")
    taken: dict[tuple[object, object], set[str]] = {}
    for instance, member, label in Peer.objects.exclude(dns_label="").values_list("instance", "member", "dns_label"):
        taken.setdefault((instance, member), set()).add(label)
    unlabelled = Peer.objects.filter(dns_label="").select_related("site").order_by("created_at", "pk")
    for peer in unlabelled.only("instance", "member", "device", "dns_label", "site__name"):
        name, fallback = (peer.device, "device") if peer.site is None else (peer.site.name, "site")
        labels = taken.setdefault((peer.instance_id, peer.member_id), set())
        peer.dns_label = free_label(dns_label(name, fallback=fallback), labels)
        labels.add(peer.dns_label)
        peer.save(update_fields=["dns_label"])


class Migration(migrations.Migration):
    dependencies = [("vpn", "0004_certificates"), ("portal", "0003_slugs")]

    operations = [migrations.RunPython(give_labels, migrations.RunPython.noop)]
