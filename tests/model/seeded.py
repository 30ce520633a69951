"""The same plays, dealt by a seed: fewer repetitions than Hypothesis makes, and no shrinking.

Hypothesis likes to vary what it has tried, and so comes back to the same few definitions; a seed
deals each play anew. Both use the rules of `machine`.
"""

from random import Random
from typing import Any

from tests.model.growing import grow
from tests.model.machine import SagaMachine
from tests.model.stage import Stage

CHOICES: dict[str, list[Any]] = {
    "how": ["yes", "yes", "no", "never", "half", "who knows", "lost", "lost", "wait"],
    "last": ["yes", "yes", "yes", "no", "never", "lost"],
    "undo": [True, True, False],
    "yes": [True, True, False],
    "seconds": [1, 5, 31, 61, 4000],
    "verdict": ["APPROVED", "APPROVED", "SKIP", "MANUAL"],
    "action": ["RETRY", "RETRY", "SKIP", "RESOLVE", "TO_MANUAL", "HARMLESS"],
}
WEIGHTS = {
    "work_goes_on": 10,
    "something_goes_wrong": 4,
    "time_passes": 3,
    "a_report_comes_again_or_late": 3,
    "somebody_cancels": 0.3,
    "somebody_pauses_or_resumes": 0.3,
}
LONGEST = 40


def play(seed: int) -> Stage:
    """Play one definition to its end."""
    random = Random(seed)  # noqa: S311 - a game, not a secret
    machine = SagaMachine()
    machine.stage = Stage(grow(random.randint(3, 12), random.randint(0, 3), seed))
    rules = sorted(machine.rules, key=lambda rule: str(rule.function.__name__))
    weights = [WEIGHTS.get(rule.function.__name__, 1.0) for rule in rules]
    for _ in range(random.randint(5, LONGEST)):
        [rule] = random.choices(rules, weights)
        if all(holds(machine) for holds in rule.preconditions):
            rule.function(machine, **{name: _dealt(random, name) for name in rule.arguments})
    machine.teardown()
    return machine.stage


def _dealt(random: Random, name: str) -> Any:
    if name in CHOICES:
        return random.choice(CHOICES[name])
    return random.randint(1, 8) if name == "often" else random.randint(0, 2**16)
