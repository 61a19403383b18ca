"""Staff's accounts are proven; an invitation that an existing account has not accepted gets an account of its own."""

from django.db import migrations
from django.db.models import Q

UNUSABLE = "!"


def prove_staff(apps, schema_editor):
    apps.get_model("portal", "User").objects.filter(Q(is_staff=True) | Q(is_superuser=True)).update(proven=True)


def separate_invitations(apps, schema_editor):
    user_model, membership_model = apps.get_model("portal", "User"), apps.get_model("portal", "Membership")
    for membership in membership_model.objects.filter(state="invited").select_related("user").iterator():
        elsewhere = membership_model.objects.filter(user=membership.user_id).exclude(pk=membership.pk)
        if not membership.user.password.startswith(UNUSABLE) or elsewhere.exists():
            made = user_model.objects.create(email=membership.user.email, password=UNUSABLE)
            membership_model.objects.filter(pk=membership.pk).update(user=made)


class Migration(migrations.Migration):
    dependencies = [("portal", "0007_account_proven")]

    operations = [
        migrations.RunPython(prove_staff, migrations.RunPython.noop),
        migrations.RunPython(separate_invitations, migrations.RunPython.noop),
    ]
