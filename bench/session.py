"""One session of measuring: what runs, in which order, and the rows that come of it."""

import argparse
import itertools
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection

from bench import amends, chain, definitions, figures, lists, peers, polling
from bench.amends import Amends
from bench.chain import Chain
from bench.figures import Row
from bench.machine import Meter
from bench.peers import Peer

SHORT, WIDE, LONG = 10, 1_000, 10_000
SHORT_RUNS = 50
WARM_UP = 100
FEW_LISTED = 10_000
PARTS = ("sagas", "peers", "long", "outside", "lists")
DATABASE_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


@dataclass(slots=True, kw_only=True)
class Raw:
    """Every number that was measured, by name, one per repetition."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, name: str, meter: Meter, count: int) -> None:
        """Keep what a piece of work came to."""
        per_second, cpu_ms = count / meter.wall, meter.cpu * 1000 / count
        self.values[f"{name}.per_second"].append(per_second)
        self.values[f"{name}.wall_ms"].append(1000 / per_second)
        self.values[f"{name}.cpu_ms"].append(cpu_ms)
        self.values[f"{name}.strangers"].append(meter.strangers)
        _say(f"{name}: {per_second:.0f}/s, {cpu_ms:.2f} ms CPU, {meter.strangers:.0%} strangers")

    def note_one(self, name: str, value: float) -> None:
        """Keep one number."""
        self.values[name].append(value)
        _say(f"{name}: {value:.2f}")

    def note_bytes(self, name: str, kept_and_logged: tuple[float, float]) -> None:
        """Keep what a saga leaves in tables and indexes, and in the database's log."""
        kept, logged = kept_and_logged
        self.note_one(f"{name}.bytes", kept)
        self.note_one(f"{name}.log_bytes", logged)

    def note_times(self, name: str, seconds: list[float]) -> None:
        """Keep the middle and the end of some latencies."""
        centiles = statistics.quantiles(seconds, n=100)
        self.values[f"{name}.p50_ms"].append(centiles[49] * 1000)
        self.values[f"{name}.p99_ms"].append(centiles[98] * 1000)
        _say(f"{name}: p50 {centiles[49] * 1000:.2f} ms, p99 {centiles[98] * 1000:.2f} ms")

    def compare(self, bar: figures.Bar, name: str, against: str, **words: object) -> Row | None:
        """Return the row of two measured names, if they were measured."""
        if name not in self.values or against not in self.values:
            return None
        return figures.compare(bar, self.values[name], self.values[against], **words)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, raw: Raw, folder: Path) -> dict[str, str]:
    """Measure part after part; returns the peers that could not be measured, and why."""
    parts = PARTS if options.only is None else (options.only,)
    missing: dict[str, str] = {}
    amends.register(definitions.order())
    with amends.running_amends(folder=folder) as ours:
        if "sagas" in parts:
            with chain.running_chain(redis_url=str(settings.REDIS_URL), folder=folder) as theirs:
                _sagas(options, raw, ours, theirs)
        if "peers" in parts:
            with peers.running_all(folder) as (found, missing):
                _peers(options, raw, ours, found)
        if "long" in parts:
            _long_runs(options, raw, ours)
        if "outside" in parts:
            _outside(options, raw, ours, folder)
    if "lists" in parts:
        _lists(options, raw, folder)
    return missing


def _sagas(options: argparse.Namespace, raw: Raw, ours: Amends, theirs: Chain) -> None:
    """Let both workers take turns, so that a slow moment meets both."""
    for fail in (False, True):
        theirs.throughput(WARM_UP, fail=fail)
        ours.throughput(WARM_UP, fail=fail, in_sets=True)
    for _ in range(options.repetitions):
        for name, count, fail in _modes(options.sagas):
            raw.note(f"chain.{name}", theirs.throughput(count, fail=fail), count)
            single = ours.throughput(count, fail=fail, in_sets=False)
            raw.note(f"amends.{name}", single, count)
            raw.note(f"amends.{name}_sets", ours.throughput(count, fail=fail, in_sets=True), count)
            raw.note_times(f"chain.lone_{name}", theirs.lone(options.lone, fail=fail))
            raw.note_times(f"amends.lone_{name}", ours.lone(options.lone, fail=fail))


def _modes(sagas: int) -> tuple[tuple[str, int, bool], ...]:
    return ("happy", sagas, False), ("compensated", sagas // 2, True)


def _peers(options: argparse.Namespace, raw: Raw, ours: Amends, found: Sequence[Peer]) -> None:
    """Let us and every durable peer take turns."""
    for peer in found:
        for fail in (False, True):
            peer.throughput(WARM_UP * 2, fail=fail)
    for _ in range(options.repetitions):
        for name, count, fail in _modes(options.sagas):
            for way in figures.WAYS:
                meter = ours.throughput(count, fail=fail, in_sets=bool(way))
                raw.note(f"amends_beside_peers.{name}{way}", meter, count)
            for peer in found:
                raw.note(f"{peer.name}.{name}", peer.throughput(count, fail=fail), count)
    for peer in found:
        if peer.database:
            raw.note_bytes(peer.name, peer.bytes_of(options.sagas))
            raw.note_bytes("amends", ours.bytes_of(options.sagas))


def _outside(options: argparse.Namespace, raw: Raw, ours: Amends, folder: Path) -> None:
    amends.register(definitions.outside())
    with polling.running_outside(ours=ours, folder=folder) as outside:
        outside.steps(WARM_UP)
        outside.requests(WARM_UP)
        for _ in range(options.repetitions):
            raw.note("amends.outside", outside.steps(options.sagas), options.sagas)
            raw.note("amends.healthz", outside.requests(options.sagas), options.sagas)


def _lists(options: argparse.Namespace, raw: Raw, folder: Path) -> None:
    _say(f"filling a list with {options.listed} runs")
    with (
        lists.running_list(runs=FEW_LISTED, folder=folder) as few,
        lists.running_list(runs=options.listed, folder=folder) as many,
    ):
        for _ in range(options.repetitions):
            raw.note_one("amends.list_few.p95_ms", few.p95_ms())
            raw.note_one("amends.list_many.p95_ms", many.p95_ms())


def _long_runs(options: argparse.Namespace, raw: Raw, ours: Amends) -> None:
    for length in (SHORT, WIDE, LONG):
        amends.register(definitions.sequence(length))
    amends.register(definitions.fork(WIDE))
    plan = (
        ("sequence_short", definitions.SEQUENCE.format(length=SHORT), SHORT, SHORT_RUNS),
        ("sequence_long", definitions.SEQUENCE.format(length=LONG), LONG, 1),
        ("sequence_wide", definitions.SEQUENCE.format(length=WIDE), WIDE, 1),
        ("fork", definitions.FORK.format(width=WIDE), WIDE, 1),
    )
    for _, workflow, steps, _ in plan:
        # A very long run does not notice the moment in which each worker compiles it.
        if steps < LONG:
            ours.warm_up(workflow)
    for _ in range(options.repetitions):
        for name, workflow, steps, runs in plan:
            raw.note(f"amends.{name}", ours.runs(workflow, count=runs), steps * runs)


def rows_of(raw: Raw, options: argparse.Namespace) -> list[Row]:
    """Return the rows of all figures that were measured."""
    words = {"many": options.listed, "few": FEW_LISTED}
    found = [
        raw.compare(figures.HAPPY, "amends.happy.per_second", "chain.happy.per_second"),
        raw.compare(figures.HAPPY_SETS, "amends.happy_sets.per_second", "chain.happy.per_second"),
        raw.compare(
            figures.COMPENSATED, "amends.compensated.per_second", "chain.compensated.per_second"
        ),
        raw.compare(
            figures.COMPENSATED_SETS,
            "amends.compensated_sets.per_second",
            "chain.compensated.per_second",
        ),
        *_peer_rows(raw),
        raw.compare(figures.LONE, "amends.lone_happy.p50_ms", "chain.lone_happy.p50_ms"),
        raw.compare(
            figures.LONE_UNDO, "amends.lone_compensated.p50_ms", "chain.lone_compensated.p50_ms"
        ),
        raw.compare(figures.CPU, "amends.happy.cpu_ms", "chain.happy.cpu_ms"),
        raw.compare(figures.CPU_SETS, "amends.happy_sets.cpu_ms", "chain.happy.cpu_ms"),
        raw.compare(
            figures.LONG, "amends.sequence_long.cpu_ms", "amends.sequence_short.cpu_ms", steps=LONG
        ),
        raw.compare(
            figures.FORK, "amends.fork.wall_ms", "amends.sequence_wide.wall_ms", steps=WIDE
        ),
        raw.compare(figures.OUTSIDE, "amends.outside.per_second", "amends.healthz.per_second"),
        raw.compare(figures.LIST, "amends.list_many.p95_ms", "amends.list_few.p95_ms", **words),
        raw.compare(figures.BYTES, "amends.bytes", "dbos.bytes"),
    ]
    return [row for row in found if row is not None]


def _peer_rows(raw: Raw) -> Iterator[Row | None]:
    for peer in figures.PEERS:
        for mode, way in itertools.product(("happy", "compensated"), figures.WAYS):
            ours, theirs = f"amends_beside_peers.{mode}{way}", f"{peer}.{mode}"
            bar = figures.against_peer(peer, mode, way)
            yield raw.compare(bar, f"{ours}.per_second", f"{theirs}.per_second")
            if mode == "happy":
                cpu = figures.cpu_against_peer(peer, mode, way)
                yield raw.compare(cpu, f"{ours}.cpu_ms", f"{theirs}.cpu_ms")


def database_settings() -> dict[str, str]:
    """Return what the database says about how durable it is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
            [list(DATABASE_SETTINGS)],
        )
        return dict(cursor.fetchall())
