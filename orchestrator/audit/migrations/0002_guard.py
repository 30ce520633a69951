"""Let the database refuse to change entries, and begin the chain."""

from django.db import migrations

from orchestrator.audit import chain, triggers


def guard(apps, schema_editor):
    apps.get_model("audit", "AuditHead").objects.get_or_create(
        pk=1, defaults={"hash": chain.GENESIS}
    )
    triggers.install(schema_editor.connection)


def unguard(_apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard)]
