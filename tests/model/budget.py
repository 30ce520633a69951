"""How long Hypothesis looks: a little in `make unit`, for hours in `make soak`.

`MODEL_EXAMPLES` sets the number of plays, `MODEL_SHRINK=0` leaves a failure as it was found
(scripts/mutants.py wants to know that a rule is broken, not the smallest way to show it).
"""

import os

from hypothesis import HealthCheck, Phase, settings

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SHRINK = os.environ.get("MODEL_SHRINK") != "0"
PHASES = [Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINK else [])]
BUDGET = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES") or (2000 if SOAK else 100)),
    stateful_step_count=60 if SOAK else 40,
    deadline=None,
    derandomize=not SOAK,
    database=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
