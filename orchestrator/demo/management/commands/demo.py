"""`manage.py demo`: seed the demo; safe to call as often as you like."""

from typing import Any

from django.core.management.base import BaseCommand

from orchestrator.demo import seed


class Command(BaseCommand):
    """Make people, a key and the demo workflows where they are missing."""

    help = "Seed the demo: people, an API key, and workflows with sample inputs. Safe to repeat."

    def handle(self, *_args: Any, **options: Any) -> None:
        """Seed, and say what was made."""
        made = seed.seed()
        if options["verbosity"] == 0:
            return
        if not made.people and not made.workflows:
            self.stdout.write("The demo was there already; nothing changed.")
            return
        if made.people:
            self.stdout.write(f"People, password {seed.PASSWORD!r}: {', '.join(made.people)}")
        if made.workflows:
            self.stdout.write(f"Workflows: {', '.join(made.workflows)}")
        self.stdout.write(f"API key: {seed.KEY_ID} / {seed.KEY_SECRET}")
