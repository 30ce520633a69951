"""What the engine makes of the shop's misbehaviour, by the outcomes the definitions declare."""

from typing import Any

import pytest
from django.http.response import HttpResponseBase

from orchestrator.demo import catalogue
from orchestrator.engine.outcomes import (
    Failed,
    HttpAnswered,
    Outcome,
    Succeeded,
    Unknown,
    classify_http,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("orchestrator.demo.urls")]


def the_payment() -> Any:
    """Return the step that takes the money in the shop's first workflow."""
    orders = {workflow.name: workflow.document for workflow in catalogue.workflows()}
    return orders["order_fulfilment"]["tasks"][1]


def meaning(answer: HttpResponseBase, overrides: dict[str, str]) -> Outcome:
    """Classify an answer of the shop."""
    return classify_http(
        HttpAnswered(
            status=answer.status_code, headers=dict(answer.items()), reason="said so", output={}
        ),
        overrides=overrides,
    )


@pytest.mark.parametrize(
    ("chaos", "kind"),
    [
        (None, Succeeded),
        ("fail_terminal", Failed),
        ("fail", Failed),
        ("flaky:1", Failed),
        ("timeout", Unknown),
        ("error_after_effect", Unknown),
    ],
)
def test_what_a_forward_answer_means(forward, naps, chaos, kind):
    outcome = meaning(forward(chaos=chaos), the_payment()["outcomes"])

    assert isinstance(outcome, kind)
    if isinstance(outcome, Failed):
        assert outcome.terminal == (chaos == "fail_terminal")
        assert outcome.retry_after == (None if chaos == "fail_terminal" else 1)


@pytest.mark.parametrize(
    ("chaos", "terminal"), [("fail_undo", False), ("flaky_undo:1", False), ("refuse_undo", True)]
)
def test_what_a_refused_undo_means(forward, undo, chaos, terminal):
    forward()
    [call] = the_payment()["compensation"]["tasks"]

    outcome = meaning(undo(chaos=chaos), call["outcomes"])

    assert isinstance(outcome, Failed)
    assert outcome.terminal == terminal


def test_a_call_after_its_undo_leaves_the_engine_in_doubt(forward, undo):
    undo()

    outcome = meaning(forward(), the_payment()["outcomes"])

    assert isinstance(outcome, Unknown)
