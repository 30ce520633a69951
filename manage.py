#!/usr/bin/env python
"""Command line of the project: chooses the role of this process, then hands over to Django."""

import os
import sys

ROLE_OF_COMMAND = {"web": "web", "worker": "worker", "serve": "embedded"}


def main() -> None:
    """Run one management command; end with a sentence when the environment is bad."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    # Settings are read before the command is, and the database settings depend on the role.
    os.environ["AMENDS_ROLE"] = ROLE_OF_COMMAND.get(command, "command")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.config.settings")

    from django.core.management import execute_from_command_line  # noqa: PLC0415

    from orchestrator.config.env import BadEnvironment  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except BadEnvironment as problem:
        sys.exit(f"{problem}")


if __name__ == "__main__":
    main()
