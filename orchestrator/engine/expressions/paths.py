"""The path language of `${…}`: a subset of Jayway JsonPath, parsed once and kept.

What is not part of the subset (arithmetic, other functions, scripts) does not parse, and what does
not parse is null, as conductor/definitions.md §6 has it.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from orchestrator.engine.expressions.limits import MAX_DEPTH, MAX_TEXT
from orchestrator.engine.expressions.patterns import MalformedPattern, compile_pattern
from orchestrator.engine.expressions.syntax import (
    FUNCTIONS,
    AllOf,
    AnyOf,
    Call,
    Comparison,
    Deep,
    Exists,
    Filter,
    Index,
    Indexes,
    Key,
    Keys,
    Literal,
    Not,
    Operand,
    Path,
    Reference,
    Selector,
    Slice,
    Test,
    Token,
    Wildcard,
)

NAME: Final = re.compile(r"[^.\[(\s]+")
NAME_IN_FILTER: Final = re.compile(r"[^.\[()\s=<>!&|,]+")
NUMBER: Final = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,3})?")
INTEGER: Final = re.compile(r"-?\d{1,9}")
OPERATOR: Final = re.compile(r"==|!=|<=|>=|=~|<|>")
FLAGS: Final = re.compile(r"[a-z]*")
WORDS: Final = {"true": True, "false": False, "null": None}
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Malformed(Exception):
    """The text is not a path."""


@lru_cache(maxsize=8192)
def parse_path(text: str) -> Path | None:
    """Parse the text between `${` and `}`; None when it is not a path."""
    if len(text) > MAX_TEXT:
        return None
    parser = Parser(text)
    try:
        return parser.parse()
    except (Malformed, MalformedPattern):
        return None


def make_path(tokens: tuple[Token, ...]) -> Path:
    """Work out what kind of path the tokens make."""
    direct: list[str | int] | None = []
    is_definite = True
    for token in tokens:
        match token:
            case Key(name=name) if direct is not None:
                direct.append(name)
            case Index(position=position) if direct is not None:
                direct.append(position)
            case Key() | Index() | Call() | Keys(is_last=True):
                direct = None
            case _:
                direct, is_definite = None, False
    if tokens and isinstance(tokens[-1], Call) and any(isinstance(token, Deep) for token in tokens):
        # After a deep scan a function gets the matches as one list, and so has one result.
        is_definite = True
    bare = None if direct is None else tuple(direct)
    return Path(tokens=tokens, is_definite=is_definite, direct=bare)


@dataclass(slots=True)
class Parser:
    """Recursive descent over one text; never looks at a character twice but in numbers."""

    text: str
    position: int = 0
    depth: int = 0

    def parse(self) -> Path:
        """Parse the whole text as a path from the implicit root."""
        if self.text[:2] in ("$.", "$["):
            self.position = 1
            tokens = self._tokens(NAME)
        elif self.text[:1] in ("$", "@", ""):
            raise Malformed
        else:
            tokens = (self._dotted(NAME), *self._tokens(NAME))
        if self.position != len(self.text) or not tokens:
            raise Malformed
        return make_path(self._closed(tokens))

    def _closed(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        """Check that a function stands last, and mark several properties that stand last."""
        if any(isinstance(token, Call) for token in tokens[:-1]):
            raise Malformed
        if tokens and isinstance(tokens[-1], Keys):
            return (*tokens[:-1], replace(tokens[-1], is_last=True))
        return tokens

    def _peek(self, ahead: int = 0) -> str:
        return self.text[self.position + ahead : self.position + ahead + 1]

    def _skip_spaces(self) -> None:
        while self._peek().isspace():
            self.position += 1

    def _expect(self, wanted: str) -> None:
        self._skip_spaces()
        if not self.text.startswith(wanted, self.position):
            raise Malformed
        self.position += len(wanted)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise Malformed
        self.position = found.end()
        return found.group()

    def _tokens(self, name: re.Pattern[str]) -> tuple[Token, ...]:
        tokens: list[Token] = []
        while True:
            if self._peek() == ".":
                self.position += 1
                tokens.append(self._dotted(name))
            elif self._peek() == "[":
                tokens.append(self._bracket())
            else:
                return tuple(tokens)

    def _dotted(self, name: re.Pattern[str]) -> Token:
        """Parse what follows a dot: a name, `*`, a function, a bracket, or a second dot."""
        if self._peek() == ".":
            self.position += 1
            inner = self._dotted(name) if self._peek() != "." else None
            if inner is None or isinstance(inner, Deep | Call):
                raise Malformed
            return Deep(inner)
        if self._peek() == "[":
            return self._bracket()
        found = self._match(name)
        if found == "*":
            return Wildcard()
        if self._peek() != "(":
            return Key(found)
        if found not in FUNCTIONS or self._peek(1) != ")":
            raise Malformed
        self.position += 2
        return Call("length" if found == "size" else found)

    def _bracket(self) -> Selector:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Malformed
        self._expect("[")
        self._skip_spaces()
        selector = self._selector()
        self._expect("]")
        self.depth -= 1
        return selector

    def _selector(self) -> Selector:
        start = self._peek()
        if start in ("'", '"'):
            names = [self._quoted()]
            while self._has_comma():
                names.append(self._quoted())
            return Key(names[0]) if len(names) == 1 else Keys(tuple(names), is_last=False)
        if start == "*":
            self.position += 1
            return Wildcard()
        if start == "?":
            self.position += 1
            self._expect("(")
            test = self._any_of()
            self._expect(")")
            return Filter(test)
        return self._numbers()

    def _has_comma(self) -> bool:
        self._skip_spaces()
        if self._peek() != ",":
            return False
        self.position += 1
        self._skip_spaces()
        return True

    def _numbers(self) -> Selector:
        first = None if self._peek() == ":" else int(self._match(INTEGER))
        self._skip_spaces()
        if self._peek() == ":":
            self.position += 1
            self._skip_spaces()
            stop = None if self._peek() == "]" else int(self._match(INTEGER))
            return Slice(first, stop)
        if first is None:
            raise Malformed
        positions = [first]
        while self._has_comma():
            positions.append(int(self._match(INTEGER)))
        return Index(first) if len(positions) == 1 else Indexes(tuple(positions))

    def _quoted(self) -> str:
        quote = self._peek()
        if quote not in ("'", '"') or not quote:
            raise Malformed
        self.position += 1
        parts: list[str] = []
        while True:
            character = self._peek()
            self.position += 1
            if character == "":
                raise Malformed
            if character == quote:
                return "".join(parts)
            parts.append(self._escape() if character == "\\" else character)

    def _escape(self) -> str:
        character = self._peek()
        self.position += 1
        if character != "u":
            return ESCAPES.get(character, character)
        digits = self.text[self.position : self.position + 4]
        self.position += 4
        if not re.fullmatch(r"[0-9a-fA-F]{4}", digits) or (digits[0] in "dD" and digits[1] > "7"):
            # A lone surrogate could not be stored.
            raise Malformed
        return chr(int(digits, 16))

    def _any_of(self) -> Test:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Malformed
        tests = [self._all_of()]
        while self._takes("||"):
            tests.append(self._all_of())
        self.depth -= 1
        return tests[0] if len(tests) == 1 else AnyOf(tuple(tests))

    def _all_of(self) -> Test:
        tests = [self._single()]
        while self._takes("&&"):
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else AllOf(tuple(tests))

    def _takes(self, sign: str) -> bool:
        self._skip_spaces()
        if not self.text.startswith(sign, self.position):
            return False
        self.position += len(sign)
        return True

    def _single(self) -> Test:
        negations = 0
        while self._takes("!"):
            negations += 1
        test = self._positive()
        return Not(test) if negations % 2 else test

    def _positive(self) -> Test:
        if self._takes("("):
            test = self._any_of()
            self._expect(")")
            return test
        left = self._operand()
        self._skip_spaces()
        if OPERATOR.match(self.text, self.position) is None:
            if not isinstance(left, Reference):
                raise Malformed
            return Exists(left)
        operator = self._match(OPERATOR)
        self._skip_spaces()
        return Comparison(operator, left, self._operand())

    def _operand(self) -> Operand:
        start = self._peek()
        if start in ("@", "$") and start:
            self.position += 1
            tokens = self._closed(self._tokens(NAME_IN_FILTER))
            return Reference(make_path(tokens), from_root=start == "$")
        if start in ("'", '"') and start:
            return Literal(self._quoted())
        if start == "/":
            source = self._pattern_source()
            return compile_pattern(source, self._match(FLAGS))
        for word, value in WORDS.items():
            if self.text.startswith(word, self.position):
                self.position += len(word)
                return Literal(value)
        number = self._match(NUMBER)
        return Literal(float(number) if set(number) & set(".eE") else int(number))

    def _pattern_source(self) -> str:
        self.position += 1
        begun = self.position
        while self._peek() not in ("/", ""):
            self.position += 2 if self._peek() == "\\" else 1
        source = self.text[begun : self.position].replace("\\/", "/")
        self._expect("/")
        return source
