"""Models and migrations say the same."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader


@pytest.mark.django_db
def test_no_model_changes_without_a_migration():
    output = StringIO()

    call_command("makemigrations", "--check", "--dry-run", "--verbosity=1", stdout=output)

    assert output.getvalue().strip() == "No changes detected"


def test_migrations_have_no_conflicts():
    loader = MigrationLoader(None)

    assert loader.detect_conflicts() == {}
