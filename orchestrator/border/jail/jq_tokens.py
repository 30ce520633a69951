r"""Refuses jq programs that ask for more than their input.

jq offers the environment, files, further inputs and the process itself as ordinary words of the
language. They are found by reading the program's tokens: the same word may stand as the name of a
field (`.input`) or of a key (`{env: 1}`), and code may hide in a string (`"\(env)"`).
"""

from __future__ import annotations

import re

FORBIDDEN = frozenset(
    {
        "env",
        "import",
        "include",
        "input",
        "inputs",
        "input_filename",
        "input_line_number",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "modulemeta",
        "get_search_list",
        "$ENV",
        "$__prog_args",
        "$__prog_name",
    }
)
_TOKEN = re.compile(
    r"""
      (?P<blank>[\s]+)
    | (?P<comment>\#[^\n\r]*)
    | (?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
    | (?P<variable>\$\s*(?:__)?[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<number>[0-9][0-9.eE]*)
    | (?P<mark>\.\.|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_INTERPOLATION = "\\("
_STRING_PART = re.compile(r'(?:[^"\\]|\\[^(])*', re.DOTALL)


def first_forbidden(program: str) -> str | None:
    """Return the first word of the program that is not allowed, if there is one."""
    open_: list[str] = []
    before, at = "", 0
    while at < len(program):
        token = _TOKEN.match(program, at)
        if token is None:
            return program[at]
        kind, text, at = token.lastgroup, token.group(), token.end()
        if kind in {"blank", "comment"}:
            continue
        if kind in {"word", "variable"} and not _is_key(kind, before, open_):
            name = "".join(text.split())
            if name in FORBIDDEN or "::" in name:
                return name
        if text == '"' or (text == ")" and open_ and open_[-1] == _INTERPOLATION):
            if text == ")":
                open_.pop()
            at = _through_string(program, at, open_)
        elif text in {"{", "[", "("}:
            open_.append(text)
        elif text in {"}", "]", ")"} and open_:
            open_.pop()
        before = text
    return None


def _is_key(kind: str, before: str, open_: list[str]) -> bool:
    """Say whether a word here names a key of an object; `{$ENV}` is a value all the same."""
    return kind == "word" and bool(open_) and open_[-1] == "{" and before in {"{", ","}


def _through_string(program: str, at: int, open_: list[str]) -> int:
    """Skip the rest of a string, or up to the code inside it."""
    part = _STRING_PART.match(program, at)
    at = part.end() if part is not None else at
    if program.startswith(_INTERPOLATION, at):
        open_.append(_INTERPOLATION)
        return at + len(_INTERPOLATION)
    return at + 1
