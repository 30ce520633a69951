"""Steps that do nothing, so that only the machinery around them is measured."""

from orchestrator.handlers.base import TerminalError
from orchestrator.handlers.registry import step


@step("bench_reserve")
def reserve(order: str) -> dict[str, str]:
    """Pretend to reserve stock."""
    return {"reservation": order}


@step("bench_charge")
def charge(order: str, reservation: str) -> dict[str, str]:
    """Pretend to charge a card."""
    return {"charge": order, "reservation": reservation}


@step("bench_ship")
def ship(order: str, charge: str, *, fail: bool = False) -> dict[str, str]:
    """Pretend to ship, or fail for good."""
    if fail:
        raise TerminalError("no carrier")
    return {"shipment": order, "charge": charge}


@step("bench_refund")
def refund(order: str) -> dict[str, str]:
    """Pretend to refund."""
    return {"refunded": order}


@step("bench_release")
def release(order: str) -> dict[str, str]:
    """Pretend to release stock."""
    return {"released": order}


@step("bench_noop")
def noop() -> None:
    """Do nothing at all."""
