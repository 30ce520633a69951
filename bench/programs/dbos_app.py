"""The saga on DBOS, as its documentation writes one: steps, and a stack of undos."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dbos import DBOS

if TYPE_CHECKING:
    from collections.abc import Callable

DBOS(
    config={
        "name": "bench",
        "system_database_url": sys.argv[1],
        "executor_id": sys.argv[2],
        "run_admin_server": False,
        "log_level": "CRITICAL",
    }
)


@DBOS.step()
def reserve(order: str) -> dict[str, str]:
    """Pretend to reserve stock."""
    return {"reservation": order}


@DBOS.step()
def charge(order: str) -> dict[str, str]:
    """Pretend to charge a card."""
    return {"charge": order}


@DBOS.step()
def ship(order: str, fail: bool) -> dict[str, str]:  # noqa: FBT001 - the peer calls it by position
    """Pretend to ship, or fail."""
    if fail:
        raise ValueError("no carrier")
    return {"shipment": order}


@DBOS.step()
def refund(order: str) -> dict[str, str]:
    """Pretend to refund."""
    return {"refunded": order}


@DBOS.step()
def release(order: str) -> dict[str, str]:
    """Pretend to release stock."""
    return {"released": order}


@DBOS.workflow()
def saga(order: str, fail: bool) -> str:  # noqa: FBT001 - the peer calls it by position
    """Run the steps; undo those that took effect when one fails."""
    undos: list[Callable[[str], dict[str, str]]] = []
    try:
        reserve(order)
        undos.append(release)
        charge(order)
        undos.append(refund)
        ship(order, fail)
    except ValueError:
        for undo in reversed(undos):
            undo(order)
        return "compensated"
    return "happy"


def main() -> None:
    """Start as many sagas as each line says and wait for all of them."""
    DBOS.launch()
    print("ready", flush=True)
    for line in sys.stdin:
        count, mode = line.split()
        fail = mode == "compensated"
        handles = [DBOS.start_workflow(saga, str(index), fail) for index in range(int(count))]
        wrong = [handle for handle in handles if handle.get_result() != mode]
        print("wrong" if wrong else "done", flush=True)
    DBOS.destroy()


main()
