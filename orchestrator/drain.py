"""Whether this process is on its way out: asked before each claim, by probes and by long polls.

One process knows by an event. The children of a supervisor know by a file whose path they were
given in `AMENDS_DRAIN_FILE`; looking for it costs a microsecond and works in any of them.
"""

import os
import threading
from pathlib import Path

VARIABLE = "AMENDS_DRAIN_FILE"

_begun = threading.Event()


def begin() -> None:
    """Take no new work from now on."""
    _begun.set()


def is_draining() -> bool:
    """Tell whether no new work may be taken."""
    if _begun.is_set():
        return True
    flag = os.environ.get(VARIABLE)
    if flag and Path(flag).exists():
        _begun.set()
        return True
    return False
