"""Who may vote on an undo, and what votes add up to (saga-semantics §7). Pure values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """One approver's answer."""

    APPROVE = "APPROVE"
    REJECT_SKIP = "REJECT_SKIP"


class Verdict(StrEnum):
    """What the votes add up to."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the definition asks for."""

    groups: tuple[str, ...]
    quorum: int
    distinct_from: tuple[str, ...]
    """Of STARTER, TRIGGERER, PUBLISHER: who must not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """User names of those who had a part in what is to be undone; empty = nobody known."""

    starter: str
    starter_is_person: bool
    triggerer: str
    publisher: str

    def named(self, role: str) -> str:
        """Return who had this part."""
        return {
            "STARTER": self.starter,
            "TRIGGERER": self.triggerer,
            "PUBLISHER": self.publisher,
        }.get(role, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who wants to decide."""

    username: str
    groups: frozenset[str]
    holds_right: bool
    """`approve_compensation` on the workflow; superusers hold it."""
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A vote that was cast."""

    username: str
    decision: Decision
    counts: bool = True


_PARTS = {
    "STARTER": "started this run",
    "TRIGGERER": "asked for this undo",
    "PUBLISHER": "published this version",
}


def refusal(person: Person, rule: Rule, concerned: Concerned, voted: Collection[str]) -> str:
    """Return why a person may not decide, in a sentence; empty when they may.

    Superusers are not exempt from `distinctFrom`.
    """
    if not person.is_active:
        return "Your account is not active."
    if not person.holds_right:
        return "You lack the right to approve undos of this workflow."
    for part in rule.distinct_from:
        if concerned.named(part) == person.username:
            return f"You {_PARTS[part]}; another approver must decide."
    if rule.groups and not person.groups & set(rule.groups):
        names = ", ".join(rule.groups)
        return f"This asks for somebody of {names}; you are in none of these groups."
    if person.username in voted:
        return "You have decided already."
    return ""


def quorum_of(rule: Rule, concerned: Concerned) -> int:
    """Return how many must agree.

    Where the starter was a program or is unknown, `distinctFrom` cannot be shown to hold, so a
    second approver is needed.
    """
    unsure = "STARTER" in rule.distinct_from and not concerned.starter_is_person
    return max(rule.quorum, 2) if unsure else rule.quorum


def verdict(votes: Sequence[Vote], quorum: int) -> Verdict:
    """Say what the votes add up to: one refusal refuses, silence never decides."""
    counted = [vote for vote in votes if vote.counts]
    if any(vote.decision is Decision.REJECT_SKIP for vote in counted):
        return Verdict.SKIP
    agreed = {vote.username for vote in counted if vote.decision is Decision.APPROVE}
    return Verdict.APPROVED if len(agreed) >= quorum else Verdict.PENDING
