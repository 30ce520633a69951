"""Run what is random, racing or killed, again and again, for a number of minutes.

    .venv/bin/python -m scripts.services run -- .venv/bin/python -m scripts.soak --minutes 120

One round runs the model's plays and the random runs of the engine with the large profile and a
seed of their own, then the races and the failure tests. `bench/soak.json` is written after every
suite: what ran, with which seed, how often, and what failed.
"""

import argparse
import dataclasses
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "soak.json"
TAIL = 60
LONGEST = 3600


@dataclasses.dataclass(frozen=True)
class Suite:
    """Tests that are worth running again."""

    name: str
    arguments: tuple[str, ...]
    is_random: bool = False


SUITES = (
    Suite("model", ("tests/model",), is_random=True),
    Suite("engine", ("tests/unit/engine/test_invariants.py",), is_random=True),
    Suite("concurrency", ("tests/concurrency",)),
    Suite("failure", ("tests/failure", "-n", "2")),
)


def main(arguments: Sequence[str]) -> int:
    """Soak until the time is up; 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Random plays, races and killed processes.")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES])
    given = parser.parse_args(arguments)
    chosen = [suite for suite in SUITES if not given.suite or suite.name in given.suite]
    end = time.monotonic() + given.minutes * 60
    report: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "minutes": given.minutes,
        "runs": [],
    }
    for suite in _rounds(chosen, end):
        result = run(suite, secrets.randbelow(2**32), max(60.0, end - time.monotonic()))
        print(f"{suite.name}: {result['summary']} (seed {result['seed']})", flush=True)
        report["runs"].append(result)
        RESULTS.write_text(json.dumps(report | _totals(report["runs"]), indent=2) + "\n", "utf-8")
    return 1 if any(result["failed"] for result in report["runs"]) else 0


def _rounds(suites: Sequence[Suite], end: float) -> Iterator[Suite]:
    while True:
        for suite in suites:
            if time.monotonic() >= end:
                return
            yield suite


def run(suite: Suite, seed: int, seconds: float) -> dict[str, Any]:
    """Run a suite once. A random one that the time cuts short has found nothing until then."""
    command = [sys.executable, "-m", "pytest", "-q", *suite.arguments]
    if suite.is_random:
        command.append(f"--hypothesis-seed={seed}")
    began = time.monotonic()
    output, code = _finished(command, seed, min(seconds, LONGEST) if suite.is_random else LONGEST)
    lines = output.strip().splitlines()
    found = {
        word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?)", output)
    }
    result = {
        "suite": suite.name,
        "seed": seed if suite.is_random else None,
        "seconds": round(time.monotonic() - began, 1),
        "passed": found.get("passed", 0),
        "failed": sum(count for word, count in found.items() if word != "passed")
        or int(code not in (0, None)),
        "summary": lines[-1] if lines and code is not None else "cut short by the clock",
    }
    return result | ({"tail": lines[-TAIL:]} if code else {})


def _finished(command: Sequence[str], seed: int, seconds: float) -> tuple[str, int | None]:
    """Run a command; None for its code if the time was up first."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "soak", "MODEL_SEED": str(seed)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, _ = process.communicate()
        return output, None
    return output, process.returncode


def _totals(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "totals": {
            name: {
                "rounds": len(own),
                "passed": sum(result["passed"] for result in own),
                "failed": sum(result["failed"] for result in own),
                "seconds": round(sum(result["seconds"] for result in own), 1),
            }
            for name in sorted({result["suite"] for result in runs})
            if (own := [result for result in runs if result["suite"] == name])
        }
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
