"""Regular expressions of filters (`=~ /…/i`), matched in time linear in the text.

Python's `re` backtracks, and a pattern such as `^(a+)+$` from a definition would hold a worker for
ever. This is the classic simulation of an automaton: all states at once, one character at a time.
No look-around and no back-references, which automata do not have.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_PATTERN: Final = 1024
MAX_STATES: Final = 2000
MAX_GROUPS: Final = 50


class MalformedPattern(Exception):
    """The text is not a regular expression that is understood here."""


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """What one position of a pattern accepts."""

    ranges: tuple[tuple[str, str], ...]
    is_negated: bool = False
    ignores_case: bool = False

    def accepts(self, character: str) -> bool:
        """Tell whether the character belongs to the set."""
        forms = {character}
        if self.ignores_case:
            forms |= {character.lower(), character.upper()}
        found = any(low <= form <= high for form in forms for low, high in self.ranges)
        return found is not self.is_negated


DIGITS: Final = (("0", "9"),)
WORD: Final = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
SPACES: Final = ((" ", " "), ("\t", "\r"))
ANY_BUT_NEWLINE: Final = CharacterSet((("\n", "\n"), ("\r", "\r")), is_negated=True)
ANYTHING: Final = CharacterSet((), is_negated=True)
CLASSES: Final = {"d": DIGITS, "w": WORD, "s": SPACES}
CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


@dataclass(slots=True)
class State:
    """One state of the automaton: reads a character, or leads on for free."""

    reads: CharacterSet | None = None
    anchor: str = ""
    """`^` or `$`: leads on only at that end of the text."""
    following: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern."""

    source: str
    states: tuple[State, ...] = field(repr=False, compare=False)
    start: int = field(repr=False, compare=False)
    accepting: int = field(repr=False, compare=False)

    def matches(self, text: str) -> bool:
        """Tell whether the pattern describes the whole text, as Java's `matches` does."""
        last = len(text)
        current = self._reachable([self.start], at_start=True, at_end=last == 0)
        for position, character in enumerate(text, start=1):
            moved = [target for number in current for target in self._after(number, character)]
            if not moved:
                return False
            current = self._reachable(moved, at_start=False, at_end=position == last)
        return self.accepting in current

    def _after(self, number: int, character: str) -> list[int]:
        state = self.states[number]
        if state.reads is None or not state.reads.accepts(character):
            return []
        return state.following

    def _reachable(self, numbers: list[int], *, at_start: bool, at_end: bool) -> set[int]:
        seen: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self.states[number]
            if state.reads is not None:
                continue
            if (state.anchor == "^" and not at_start) or (state.anchor == "$" and not at_end):
                continue
            waiting.extend(state.following)
        return seen


@dataclass(slots=True)
class Compiler:
    """Recursive descent over a pattern; each part becomes a piece with one way in and one out."""

    text: str
    flags: str
    position: int = 0
    depth: int = 0
    states: list[State] = field(default_factory=list)

    def compile(self) -> Pattern:
        """Build the automaton of the whole pattern."""
        start, end = self._alternatives()
        if self.position != len(self.text):
            raise MalformedPattern(self.text)
        return Pattern(self.text, tuple(self.states), start, end)

    def _new(self, reads: CharacterSet | None = None, anchor: str = "") -> int:
        if len(self.states) >= MAX_STATES:
            raise MalformedPattern(self.text)
        self.states.append(State(reads=reads, anchor=anchor))
        return len(self.states) - 1

    def _link(self, source: int, target: int) -> None:
        self.states[source].following.append(target)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise MalformedPattern(self.text)
        self.position += 1
        return character

    def _alternatives(self) -> tuple[int, int]:
        self.depth += 1
        if self.depth > MAX_GROUPS:
            raise MalformedPattern(self.text)
        start, end = self._new(), self._new()
        while True:
            first, last = self._sequence()
            self._link(start, first)
            self._link(last, end)
            if self._peek() != "|":
                break
            self.position += 1
        self.depth -= 1
        return start, end

    def _sequence(self) -> tuple[int, int]:
        start = end = self._new()
        while self._peek() not in ("", "|", ")"):
            first, last = self._repeated()
            self._link(end, first)
            end = last
        return start, end

    def _repeated(self) -> tuple[int, int]:
        begun = self.position
        piece = self._atom()
        least, most = self._count()
        if (least, most) == (1, 1):
            return piece
        after = self.position
        start = end = self._new()
        for copy in range(max(least, most or 0, 1)):
            if copy:
                self.position = begun
                piece = self._atom()
            if copy >= least:
                self._link(end, piece[0])
                skip = self._new()
                self._link(end, skip)
                self._link(piece[1], skip)
                if most is None:
                    self._link(piece[1], piece[0])
                end = skip
                continue
            self._link(end, piece[0])
            if most is None and copy == least - 1:
                self._link(piece[1], piece[0])
            end = piece[1]
        self.position = after
        return start, self._closed(end)

    def _closed(self, end: int) -> int:
        """Give a piece an end of its own, so that a repetition around it cannot leak out."""
        closed = self._new()
        self._link(end, closed)
        return closed

    def _count(self) -> tuple[int, int | None]:
        sign = self._peek()
        if sign in ("*", "+", "?"):
            self.position += 1
            counts: dict[str, tuple[int, int | None]] = {
                "*": (0, None),
                "+": (1, None),
                "?": (0, 1),
            }
            found = counts[sign]
        elif sign == "{":
            found = self._braces()
        else:
            return (1, 1)
        if self._peek() == "?":
            # Laziness changes which text a group holds, never whether the whole matches.
            self.position += 1
        if self._peek() in ("*", "+", "?", "{"):
            raise MalformedPattern(self.text)
        return found

    def _braces(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.position)
        low, comma, high = self.text[self.position + 1 : max(end, 0)].partition(",")
        if not (low.isascii() and low.isdigit()) or len(low) > 3 or len(high) > 3:
            raise MalformedPattern(self.text)
        if high and not (high.isascii() and high.isdigit()):
            raise MalformedPattern(self.text)
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if most is not None and (most < least or most == 0):
            raise MalformedPattern(self.text)
        self.position = end + 1
        return least, most

    def _atom(self) -> tuple[int, int]:
        character = self._take()
        if character == "(":
            return self._group()
        if character in "^$":
            anchor = self._new(anchor=character)
            return anchor, self._closed(anchor)
        if character == ".":
            return self._reading(ANYTHING if "s" in self.flags else ANY_BUT_NEWLINE)
        if character == "[":
            return self._reading(self._set())
        if character == "\\":
            return self._reading(self._escaped())
        if character in "*+?{":
            raise MalformedPattern(self.text)
        return self._reading(self._one(character))

    def _one(self, character: str) -> CharacterSet:
        return CharacterSet(((character, character),), ignores_case="i" in self.flags)

    def _reading(self, characters: CharacterSet) -> tuple[int, int]:
        start, end = self._new(characters), self._new()
        self._link(start, end)
        return start, end

    def _group(self) -> tuple[int, int]:
        if self.text.startswith("?:", self.position):
            self.position += 2
        elif self._peek() == "?":
            raise MalformedPattern(self.text)
        piece = self._alternatives()
        if self._take() != ")":
            raise MalformedPattern(self.text)
        return piece

    def _escaped(self) -> CharacterSet:
        character = self._take()
        if character in CLASSES:
            return CharacterSet(CLASSES[character])
        if character.lower() in CLASSES:
            return CharacterSet(CLASSES[character.lower()], is_negated=True)
        return self._one(self._plain_escape(character))

    def _plain_escape(self, character: str) -> str:
        if character in CONTROLS:
            return CONTROLS[character]
        if character.isalnum():
            raise MalformedPattern(self.text)
        return character

    def _set(self) -> CharacterSet:
        is_negated = self._peek() == "^"
        self.position += is_negated
        ranges: list[tuple[str, str]] = []
        while self._peek() != "]":
            ranges.extend(self._set_item())
        self.position += 1
        if not ranges:
            raise MalformedPattern(self.text)
        return CharacterSet(tuple(ranges), is_negated=is_negated, ignores_case="i" in self.flags)

    def _set_item(self) -> tuple[tuple[str, str], ...]:
        low = self._take()
        if low == "\\":
            low = self._take()
            if low in CLASSES:
                return CLASSES[low]
            low = self._plain_escape(low)
        if self._peek() != "-" or self.text[self.position + 1 : self.position + 2] in ("", "]"):
            return ((low, low),)
        self.position += 1
        high = self._take()
        if high == "\\":
            high = self._plain_escape(self._take())
        if high < low:
            raise MalformedPattern(self.text)
        return ((low, high),)


def compile_pattern(text: str, flags: str = "") -> Pattern:
    """Compile a pattern; the flags `i` and `s` are known.

    Raises:
        MalformedPattern: the pattern is broken, too large, or uses what automata do not have.
    """
    if len(text) > MAX_PATTERN or not set(flags) <= {"i", "s"}:
        raise MalformedPattern(text)
    return Compiler(text=text, flags=flags).compile()
