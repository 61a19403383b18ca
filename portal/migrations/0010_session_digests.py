"""Sessions are found by a digest of their cookie from now on: those that are there stay, under theirs."""

import hashlib

from django.db import migrations


def digest_sessions(apps, schema_editor):
    sessions = apps.get_model("sessions", "Session").objects
    for key in list(sessions.values_list("session_key", flat=True)):
        sessions.filter(session_key=key).update(session_key=hashlib.sha256(key.encode()).hexdigest()[:40])


class Migration(migrations.Migration):

    dependencies = [
        ("portal", "0009_queued_mail"),
        ("sessions", "0001_initial"),
    ]

    # Back again, their holders sign in anew: keys cannot be had from digests.
    operations = [migrations.RunPython(digest_sessions, migrations.RunPython.noop)]
