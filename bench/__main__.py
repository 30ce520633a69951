"""`make bench`: measures Amends beside a plain Celery chain, in one run, on one machine.

A ratio is that of one repetition; shown are the median of the ratios and how far they spread.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import django
from django.core.management import call_command

from bench import figures, machine

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Measure, print the table and write `bench/results.json`."""
    options = _options()
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        sys.exit("The benchmarks need PostgreSQL and Redis: run them by `make bench`.")
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as name:
        os.environ |= {
            "AMENDS_DATA_DIR": name,
            "AMENDS_HANDLERS": "bench.handlers",
            # As quiet as the peer's worker.
            "AMENDS_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "orchestrator.config.settings",
        }
        django.setup()
        call_command("migrate", verbosity=0)
        report = _measure(options, Path(name))
    if options.only is None:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    # Models can be imported only now that Django is set up.
    from bench import session  # noqa: PLC0415

    raw = session.Raw()
    try:
        missing = session.measure(options, raw, folder)
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"--- end of {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
        raise
    rows = session.rows_of(raw, options)
    print(figures.as_table(rows))
    for peer, why in missing.items():
        print(f"not measured: {figures.PEERS[peer][0]}: {why}")
    return {
        "machine": machine.describe(),
        "settings": {**vars(options), "database": session.database_settings()},
        "rows": figures.as_data(rows),
        "not_measured": missing,
        "raw": raw.values,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--sagas", type=int, default=1000, help="happy ones; half as many fail")
    parser.add_argument("--lone", type=int, default=200, help="sagas for the latency")
    parser.add_argument("--listed", type=int, default=1_000_000, help="runs in the large list")
    parser.add_argument(
        "--only",
        choices=["sagas", "peers", "long", "outside", "lists"],
        help="a part; writes no results",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
