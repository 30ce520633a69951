"""Plays dealt by a seed: the engine against the model (docs/proof.md)."""

import os
from random import SystemRandom

from tests.model.budget import SOAK
from tests.model.seeded import play

PLAYS = int(os.environ.get("MODEL_EXAMPLES") or (5000 if SOAK else 300))
FIRST = int(os.environ.get("MODEL_SEED") or (SystemRandom().randrange(2**40) if SOAK else 0))


def test_plays_dealt_by_a_seed() -> None:
    for seed in range(FIRST, FIRST + PLAYS):
        try:
            play(seed)
        except Exception as failure:
            failure.add_note(f"met in play {seed - FIRST + 1}; again with MODEL_SEED={seed}")
            raise
