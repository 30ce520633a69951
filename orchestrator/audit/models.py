"""Rows of the audit trail: a chain of entries and its head; the database refuses changes."""

from django.db import models


class AuditHead(models.Model):
    """The end of the chain: one row, locked by whoever appends."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()


class AuditEntry(models.Model):
    """One act of one person or program; written once."""

    seq = models.BigIntegerField(primary_key=True, help_text="From the head: without gaps.")
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    actor_id = models.BigIntegerField(null=True, help_text="Null: the system itself.")
    on_behalf_of = models.CharField(max_length=150, blank=True)
    key_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=48)
    subject = models.CharField(max_length=255)
    subject_type = models.CharField(max_length=24)
    workflow = models.CharField(
        max_length=255, blank=True, help_text="Whose grants say who may read this; empty: none."
    )
    result = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    changes = models.TextField(
        blank=True,
        help_text="Canonical JSON as text: what a database makes of numbers would break the hash.",
    )
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        ordering = ("-seq",)
        indexes = (
            models.Index(fields=("subject", "-seq"), name="audit_by_subject"),
            models.Index(fields=("workflow", "-seq"), name="audit_by_workflow"),
            models.Index(fields=("actor", "-seq"), name="audit_by_actor"),
            models.Index(fields=("action", "-seq"), name="audit_by_action"),
        )

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.subject}"
