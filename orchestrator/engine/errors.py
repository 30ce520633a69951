"""Errors of the engine: each means a bug or a broken document, never an outcome of a step."""


class EngineError(Exception):
    """Something the engine cannot work with."""


class IllegalTransition(EngineError):
    """A state was asked to move where its table does not lead."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"{source} cannot become {target}")
        self.source = source
        self.target = target
