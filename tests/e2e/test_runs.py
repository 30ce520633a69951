"""Runs in a real browser: the list, the two lanes, a step, and pages without script."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from orchestrator.models import Execution
from tests.e2e.conftest import Visit
from tests.factories.runs import a_run, a_step, a_workflow, an_event, an_undone_order

pytestmark = [pytest.mark.chromium, pytest.mark.django_db(transaction=True)]


def test_the_saga_view_walks_by_keyboard_and_opens_a_step(visit: Visit, admin: User) -> None:
    run = an_undone_order(a_workflow())
    page = visit(admin).open(f"/runs/{run.id}/")
    graph = page.get_by_role("application", name="Run graph")

    reserve = graph.get_by_role("group", name="reserve_inventory, HTTP, Succeeded")
    reserve.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")

    refund = "refund_payment, undo of charge_payment, order 1, Needs approval"
    expect(graph.get_by_role("group", name=refund)).to_be_focused()
    page.keyboard.press("Enter")
    details = page.get_by_role("region", name="Step details")
    expect(details.get_by_role("heading", name="charge_payment")).to_be_visible()
    expect(page).to_have_url(re.compile("step="))
    expect(graph.locator("[data-node][tabindex='0']")).to_have_count(1)


def test_a_change_of_the_run_leaves_the_focus_where_it_is(visit: Visit, admin: User) -> None:
    run = a_run(a_workflow())
    step = a_step(run, "reserve_inventory", seq=1, reference="reserve", state="DISPATCHED")
    page = visit(admin).open(f"/runs/{run.id}/")
    graph = page.get_by_role("application", name="Run graph")
    graph.get_by_role("group", name="reserve_inventory, HTTP, Running").focus()

    type(step).objects.filter(pk=step.pk).update(state="COMPLETED")
    an_event(run, 1, "step.completed")

    reserve = graph.get_by_role("group", name="reserve_inventory, HTTP, Succeeded")
    expect(reserve).to_be_focused(timeout=15_000)
    page.keyboard.press("ArrowDown")
    expect(graph.get_by_role("group", name="charge_payment, HTTP, Not reached")).to_be_focused()


def test_step_details_are_tabs(visit: Visit, admin: User) -> None:
    run = an_undone_order(a_workflow())
    step = run.steprun_set.get(reference="ship")
    page = visit(admin).open(f"/runs/{run.id}/?view=steps&step={step.id}")
    details = page.get_by_role("region", name="Step details")

    details.get_by_role("tab", name="Attempts").click()

    attempts = details.get_by_role("table", name="Attempts")
    expect(attempts).to_contain_text("The courier refused the order.")
    expect(attempts).to_contain_text("not applied")


def test_the_steps_view_filters(visit: Visit, admin: User) -> None:
    run = an_undone_order(a_workflow())
    page = visit(admin).open(f"/runs/{run.id}/?view=steps")
    table = page.get_by_role("table", name="Steps")
    expect(table.get_by_role("row")).to_have_count(4)

    page.get_by_label("Show").select_option("Failed")

    expect(table.get_by_role("row")).to_have_count(2)
    expect(table).to_contain_text("create_shipment")


@pytest.mark.parametrize("view", ["saga", "timeline", "steps", "events", "data", "json"])
def test_every_view_has_an_address_and_a_marked_tab(visit: Visit, admin: User, view: str) -> None:
    run = an_undone_order(a_workflow())
    visitor = visit(admin)

    page = visitor.open(f"/runs/{run.id}/?view={view}")

    tabs = page.get_by_role("navigation", name="Run views")
    expect(tabs.locator("[aria-current=page]")).to_have_text(re.compile(view, re.IGNORECASE))


def test_the_page_follows_a_run_without_a_reload(visit: Visit, admin: User) -> None:
    run = a_run(a_workflow())
    step = a_step(run, "reserve_inventory", seq=1, reference="reserve", state="DISPATCHED")
    page = visit(admin).open(f"/runs/{run.id}/?view=steps")
    state = page.get_by_role("status", name="Run state")
    expect(state).to_contain_text("Running")
    page.evaluate("window.sameDocument = true")

    type(step).objects.filter(pk=step.pk).update(state="COMPLETED")
    Execution.objects.filter(pk=run.pk).update(state="COMPLETED", head=1)
    an_event(run, 1, "execution.completed")

    expect(state).to_contain_text("Succeeded", timeout=15_000)
    expect(page.get_by_role("table", name="Steps")).to_contain_text("Succeeded")
    assert page.evaluate("window.sameDocument") is True


def test_lists_and_steps_read_without_script(visit: Visit, admin: User) -> None:
    run = an_undone_order(a_workflow())
    visitor = visit(admin, java_script_enabled=False)

    expect(visitor.open("/workflows/").get_by_role("table", name="Workflows")).to_be_visible()
    expect(visitor.open("/runs/").get_by_role("table", name="Runs")).to_be_visible()
    page = visitor.open(f"/runs/{run.id}/?view=steps&step={run.steprun_set.get(seq=1).id}")
    expect(page.get_by_role("table", name="Steps")).to_be_visible()
    expect(page.get_by_role("region", name="Step details")).to_contain_text("order-1001")


def test_filters_of_the_list_stand_in_the_address(visit: Visit, admin: User) -> None:
    version = a_workflow()
    a_run(version, correlation_id="order-1", state="COMPLETED")
    a_run(version, correlation_id="order-2", state="FAILED")
    page = visit(admin).open("/runs/")
    rows = page.get_by_role("table", name="Runs").get_by_role("rowheader")
    expect(rows).to_have_text(["order-2", "order-1"])

    page.get_by_role("navigation", name="Run status").get_by_role("link", name="Failed").click()

    expect(page).to_have_url(re.compile(r"\?status=failed$"))
    expect(rows).to_have_text(["order-2"])
    page.get_by_role("link", name="Remove filter status failed").click()
    expect(rows).to_have_text(["order-2", "order-1"])


def test_motion_stops_where_it_is_not_wanted(visit: Visit, admin: User) -> None:
    run = a_run(a_workflow())
    moving = "() => document.getAnimations().filter((one) => one.playState === 'running').length"

    calm = visit(admin, reduced_motion="reduce").open(f"/runs/{run.id}/")
    lively = visit(admin, reduced_motion="no-preference").open(f"/runs/{run.id}/")

    assert calm.evaluate(moving) == 0
    assert lively.evaluate(moving) > 0


def test_new_runs_are_announced_and_rows_do_not_move(visit: Visit, admin: User) -> None:
    version = a_workflow()
    old = a_run(version, correlation_id="order-1")
    page = visit(admin).open("/runs/")
    rows = page.get_by_role("table", name="Runs").get_by_role("rowheader")
    expect(rows).to_have_text(["order-1"])

    Execution.objects.filter(pk=old.pk).update(state="COMPLETED")
    a_run(version, correlation_id="order-2")

    news = page.get_by_role("button", name="1 new, show")
    expect(news).to_be_visible(timeout=20_000)
    expect(rows).to_have_text(["order-1"])
    expect(page.get_by_role("table", name="Runs")).to_contain_text("Succeeded")
    news.click()
    expect(rows).to_have_text(["order-2", "order-1"])
