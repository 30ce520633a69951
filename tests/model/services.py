"""A well-behaved service (saga-semantics §12, duties of a service) and its books.

It dedupes by key, takes an undo for a forward key it never saw and remembers it, refuses that
forward key afterwards, and gives a repeated undo its first answer.
"""

import dataclasses
from collections import Counter


@dataclasses.dataclass
class Service:
    """One participant. `applied` counts real work, however often it was asked for."""

    applied: Counter[str] = dataclasses.field(default_factory=Counter)
    undone: Counter[str] = dataclasses.field(default_factory=Counter)
    undos_by_key: Counter[str] = dataclasses.field(default_factory=Counter)
    tombstones: set[str] = dataclasses.field(default_factory=set)
    asked: Counter[str] = dataclasses.field(default_factory=Counter)

    def forward(self, key: str) -> bool:
        """Do it, once for a key. False: refused, because it was undone before it came."""
        self.asked[key] += 1
        if key in self.tombstones:
            return bool(self.applied[key])
        if not self.applied[key]:
            self.applied[key] = 1
        return True

    def undo(self, key: str, forward_key: str) -> None:
        """Undo it, once for a key and once for an effect; say yes to what never happened."""
        self.asked[key] += 1
        self.tombstones.add(forward_key)
        if self.undos_by_key[key]:
            return
        self.undos_by_key[key] = 1
        if self.applied[forward_key] and not self.undone[forward_key]:
            self.undone[forward_key] = 1

    def net(self, forward_key: str) -> int:
        """Return what is left of one effect in the world."""
        return self.applied[forward_key] - self.undone[forward_key]

    def left(self) -> set[str]:
        """Return the forward keys whose effect still stands."""
        return {key for key in self.applied if self.net(key)}
