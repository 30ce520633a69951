import django.db.models.deletion
from django.db import migrations, models

LONGEST = 255


def _events(document):
    """Return the events that a stored definition waits for, in either place of its saga keys."""
    carried = (document.get("metadata") or {}).get("amends") or {}
    for holder in (document, carried):
        saga = holder.get("saga") if isinstance(holder, dict) else None
        triggers = saga.get("triggers") if isinstance(saga, dict) else None
        for trigger in triggers if isinstance(triggers, list) else ():
            if isinstance(trigger, dict) and isinstance(trigger.get("event"), str):
                yield trigger["event"][:LONGEST]


def index_stored_versions(apps, _schema_editor):
    version_trigger = apps.get_model("orchestrator", "VersionTrigger")
    versions = apps.get_model("orchestrator", "WorkflowVersion").objects.exclude(kind="PLAIN")
    for key, document in versions.values_list("pk", "document").iterator(chunk_size=100):
        names = sorted(set(_events(document))) if isinstance(document, dict) else []
        version_trigger.objects.bulk_create(
            version_trigger(version_id=key, event=name) for name in names
        )


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrator", "0005_pending_acts"),
    ]

    operations = [
        migrations.CreateModel(
            name="VersionTrigger",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event", models.CharField(max_length=255)),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="triggers",
                        to="orchestrator.workflowversion",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event", "version"), name="version_trigger_once"
                    )
                ],
            },
        ),
        migrations.RunPython(index_stored_versions, migrations.RunPython.noop),
    ]
