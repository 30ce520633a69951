"""Who stands behind each task name, and the words the shop uses for what they do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One outside system of the demo, as seen by one task."""

    service: str
    """The system a reader would recognise."""
    done: str
    """What is true after the call."""
    undone: str
    """What is true after the undo."""


_TABLE: dict[str, tuple[str, str, str]] = {
    "reserve_inventory": ("Inventory", "Stock reserved", "Stock released"),
    "charge_payment": ("Payments", "Card charged", "Payment refunded"),
    "create_shipment": ("Shipping", "Shipment created", "Shipment cancelled"),
    "book_flight": ("Flights", "Flight booked", "Flight cancelled"),
    "book_hotel": ("Hotels", "Room booked", "Room cancelled"),
    "rent_car": ("Cars", "Car reserved", "Car released"),
    "issue_ticket": ("Flights", "Ticket issued", "Ticket voided"),
    "send_itinerary": ("Mail", "Itinerary sent", "Itinerary withdrawn"),
    "post_invoice": ("Ledger", "Invoice posted", "Invoice cancelled by a credit note"),
    "send_invoices": ("Mail", "Invoices sent", "Invoices withdrawn"),
    "remove_access": ("Identity", "Access removed", "Access restored"),
    "disable_account": ("Identity", "Account disabled", "Account enabled"),
    "issue_credit": ("Payments", "Credit issued", "Credit taken back"),
    "change_address": ("Customers", "Address changed", "Old address restored"),
    "order_replacement": ("Shipping", "Replacement ordered", "Replacement cancelled"),
    "send_reply": ("Mail", "Reply sent", "Reply withdrawn"),
}


def participant_of(step: str) -> Participant:
    """Return who does a task; plain words for a name of the reader's own."""
    words = _TABLE.get(step)
    if words is None:
        words = ("Anything", f"{step} done", f"{step} undone")
    service, done, undone = words
    return Participant(service=service, done=done, undone=undone)
