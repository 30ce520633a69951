"""`manage.py audit verify|export`: does the chain hold, and the trail as a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from orchestrator.audit import export
from orchestrator.audit.selectors import Filters
from orchestrator.selectors import audit as selectors
from orchestrator.services.audit import begin_export

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    """Reads the audit trail as the system, which may read all of it."""

    help = "Verify the audit trail or write it out."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the two verbs and their options."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="Exit with 1 when the chain does not hold.")
        verify.add_argument("--json", action="store_true", help="Answer as the API does.")
        write = verbs.add_parser("export", help="Write entries to standard output.")
        write.add_argument("--format", choices=export.FORMATS, default="jsonl")
        for name in ("subject", "action", "actor", "text"):
            write.add_argument(f"--{name}", default="", help="Only entries with this.")

    def handle(self, *args: Any, **options: Any) -> None:  # Django's signature
        """Do what the verb says."""
        if options["verb"] == "verify":
            self._verify(as_json=options["json"])
        else:
            self._export(options)

    def _verify(self, *, as_json: bool) -> None:
        verdict = selectors.verify(actor=None)
        if as_json:
            told = {
                "ok": verdict.ok,
                "checked": verdict.checked,
                "brokenAt": verdict.broken_at,
                "problem": verdict.problem,
            }
            self.stdout.write(json.dumps(told))
        elif verdict.ok:
            self.stdout.write(f"The chain holds: {verdict.checked} entries.")
        else:
            self.stderr.write(f"Entry {verdict.broken_at}: {verdict.problem}")
        if not verdict.ok:
            raise SystemExit(1)

    def _export(self, options: dict[str, Any]) -> None:
        filters = Filters(
            **{name: options[name] for name in ("subject", "action", "actor", "text")}
        )
        rows = begin_export(actor=None, filters=filters, form=options["format"])
        for line in export.lines(selectors.in_pieces(rows), options["format"]):
            self.stdout.write(line, ending="")
