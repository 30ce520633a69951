"""The whole story in a browser, on a real server with its worker: start, fail, approve, undone."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes import Installation

pytestmark = pytest.mark.chromium
SLOW = 60_000


@pytest.fixture
def shop(installation: Installation) -> str:
    """The address of a running demo."""
    port = str(installation.port)
    seeded = installation.manage("demo", AMENDS_DEMO="1", PORT=port)
    assert seeded.returncode == 0, seeded.stderr
    installation.start("serve", AMENDS_DEMO="1", PORT=port)
    installation.wait_ready()
    return installation.url


def sign_in(browser: Browser, address: str, username: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{address}/login/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    return page


def start(page: Page, address: str, sample: str, key: str) -> None:
    page.goto(f"{address}/workflows/order_fulfilment/run/")
    page.get_by_label("Sample input").select_option(sample)
    page.get_by_label("Business key").fill(key)
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/runs/.+"))
    page.evaluate("window.sameDocument = true")


def test_a_failed_order_is_undone_after_a_person_approved_the_refund(
    browser: Browser, shop: str
) -> None:
    operator = sign_in(browser, shop, "operator")
    start(operator, shop, "shipment fails, refund needs approval", "order-e2e-1")
    state = operator.get_by_role("status", name="Run state")
    expect(operator.get_by_role("main")).to_contain_text(
        "refund_payment needs approval from finance", timeout=SLOW
    )

    approver = sign_in(browser, shop, "approver")
    approver.get_by_role("region", name="Needs you").get_by_role("link", name="1 approval").click()
    approver.get_by_role("link", name=re.compile("Undo of")).first.click()
    expect(approver.get_by_role("region", name="Exactly this will be sent")).to_contain_text("1500")
    approver.get_by_label("Note").fill("The customer was told.")
    approver.get_by_role("button", name=re.compile("^Approve: refund_payment EUR 1 500")).click()
    expect(approver.get_by_role("status", name="Approval state")).to_contain_text("Approved")
    expect(approver.get_by_role("region", name="Votes")).to_contain_text("The customer was told.")

    expect(state).to_contain_text("Undone", timeout=SLOW)
    graph = operator.get_by_role("application", name="Run graph")
    for name in (
        "refund_payment, undo of charge_payment, order 1, Undone",
        "release_inventory, undo of reserve_inventory, order 2, Undone",
    ):
        expect(graph.get_by_role("group", name=name)).to_be_visible()
    assert operator.evaluate("window.sameDocument") is True


def test_a_finished_order_is_undone_from_a_dialog_that_shows_the_plan(
    browser: Browser, shop: str
) -> None:
    page = sign_in(browser, shop, "operator")
    start(page, shop, "happy order", "order-e2e-2")
    state = page.get_by_role("status", name="Run state")
    expect(state).to_contain_text("Succeeded", timeout=SLOW)

    undo = page.get_by_role("link", name="Undo…")
    undo.click()
    dialog = page.get_by_role("dialog", name="Undo run")
    plan = dialog.get_by_role("list", name="Undo plan").get_by_role("listitem")
    expect(plan).to_contain_text(["cancel_shipment", "refund_payment", "release_inventory"])
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(undo).to_be_focused()
    undo.click()
    dialog.get_by_label("Reason").fill("Ordered twice")
    dialog.get_by_role("button", name="Undo run").click()

    expect(state).to_contain_text("Undone", timeout=SLOW)
    expect(page.get_by_role("main")).to_contain_text("Ordered twice")
    expect(page.get_by_role("button", name="Retry…")).to_be_disabled()
    assert page.evaluate("window.sameDocument") is True


def test_a_viewer_sees_and_cannot_steer(browser: Browser, shop: str) -> None:
    operator = sign_in(browser, shop, "operator")
    start(operator, shop, "happy order", "order-e2e-3")
    viewer = sign_in(browser, shop, "viewer")

    viewer.goto(operator.url)

    pause = viewer.get_by_role("button", name="Pause")
    expect(pause).to_be_disabled()
    expect(pause).to_have_accessible_description(re.compile("operator"))
    viewer.goto(f"{shop}/workflows/order_fulfilment/run/")
    expect(viewer.get_by_role("heading", level=1)).to_have_text("No access")
    expect(viewer.get_by_role("main")).to_contain_text("start_execution")
    expect(viewer.get_by_role("main")).to_contain_text("admin")


def test_input_that_is_no_json_is_refused_at_the_field(browser: Browser, shop: str) -> None:
    page = sign_in(browser, shop, "operator")
    page.goto(f"{shop}/workflows/order_fulfilment/run/")
    field = page.get_by_role("textbox", name="Input")

    field.fill('{"orderId": ')
    page.get_by_role("button", name="Start run").click()

    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value('{"orderId": ')
    expect(page).to_have_url(re.compile("/run/$"))
