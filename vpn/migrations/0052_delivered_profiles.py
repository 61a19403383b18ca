from __future__ import annotations

import hashlib
from itertools import islice

import django.db.models.deletion
from django.db import migrations, models

_BATCH = 500


def note_delivered(apps, schema_editor):
    """Note the profiles that were handed out before, so that their files are recognised, too.

    The digest of a router's profile covers its platform, which its file does not tell, so that it stays empty.
    """
    Peer = apps.get_model("vpn", "Peer")
    DeliveredProfile = apps.get_model("vpn", "DeliveredProfile")
    peers = Peer.objects.exclude(delivered_digest="").exclude(delivered_at=None)
    rows = peers.select_related("instance", "member__user", "site").order_by("pk").iterator(_BATCH)
    while some := list(islice(rows, _BATCH)):
        DeliveredProfile.objects.bulk_create(rows_of(DeliveredProfile, some), ignore_conflicts=True)


def rows_of(model, peers):
    for peer in peers:
        owner = (peer.member.user.name or peer.member.user.email) if peer.member else ""
        text = peer.certificate.strip() if peer.protocol == "openvpn" else peer.public_key
        yield model(
            organization_id=peer.instance.organization_id,
            peer_id=peer.pk,
            member_id=peer.member_id,
            label=peer.site.name if peer.site else " / ".join(filter(None, (owner, peer.device))),
            mark=hashlib.sha256(text.encode()).hexdigest(),
            digest="" if peer.site else peer.delivered_digest,
            delivered_at=peer.delivered_at,
        )


class Migration(migrations.Migration):
    dependencies = [("portal", "0016_custody_minutes"), ("vpn", "0051_change_trials")]

    operations = [
        migrations.CreateModel(
            name="DeliveredProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("peer_id", models.UUIDField()),
                ("member_id", models.UUIDField(blank=True, null=True)),
                ("label", models.CharField(blank=True, max_length=400)),
                ("mark", models.CharField(max_length=64)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("delivered_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="portal.organization"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["delivered_at"], name="delivered_profile_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "mark", "digest"), name="delivered_profile_once"
                    )
                ],
            },
        ),
        migrations.RunPython(note_delivered, migrations.RunPython.noop),
    ]
