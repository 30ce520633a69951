"""The frame around every page, in a real browser."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.factories.runs import a_workflow, an_undone_order

pytestmark = [pytest.mark.chromium, pytest.mark.django_db(transaction=True)]

PATHS = (
    "/",
    "/workflows/",
    "/workflows/order_fulfilment/",
    "/runs/",
    "/approvals/",
    "/audit/",
    "/settings/me/",
)
SPRAWL = "document.documentElement.scrollWidth - innerWidth"


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_its_landmarks_and_breaks_no_rule(visit: Visit, admin: User, path: str) -> None:
    an_undone_order(a_workflow())
    visitor = visit(admin)

    page = visitor.open(path)

    for role in ("banner", "main"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("navigation", name="Main")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page).to_have_title(re.compile(r".+ · Amends$"))
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("nav[aria-label=Main] [aria-current]")).to_have_count(1)
    assert visitor.complaints == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_scrolls_sideways_at_320_pixels(visit: Visit, admin: User, path: str) -> None:
    an_undone_order(a_workflow())

    page = visit(admin, viewport={"width": 320, "height": 640}).open(path)

    assert page.evaluate(SPRAWL) <= 0


def brightness(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) // 3


def test_theme_changes_at_once_and_is_kept(visit: Visit, admin: User) -> None:
    page = visit(admin, color_scheme="light").open("/runs/")
    assert brightness(page) > 200

    page.get_by_role("button", name="Theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()

    assert brightness(page) < 60
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert brightness(page) < 60


def test_theme_can_be_chosen_without_script(visit: Visit, admin: User) -> None:
    page = visit(admin, java_script_enabled=False).open("/runs/")

    page.get_by_role("button", name="Theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()

    expect(page).to_have_url(re.compile(r"/runs/$"))
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_skip_link_comes_first(visit: Visit, admin: User) -> None:
    page = visit(admin).open("/workflows/")

    page.keyboard.press("Tab")

    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.get_by_role("main").evaluate("main => main.contains(document.activeElement)")


def test_sign_in_leads_back_to_the_page_that_was_asked_for(visit: Visit, admin: User) -> None:
    page = visit().open("/runs/?status=failed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("password")
    expect(page.get_by_label("Username")).to_have_value("admin")
    page.get_by_label("Password").fill("a password for tests")
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(re.compile(r"/runs/\?status=failed$"))


def test_sign_out_ends_the_session(visit: Visit, admin: User) -> None:
    page = visit(admin).open("/")

    page.get_by_role("button", name=re.compile("^Account")).click()
    page.get_by_role("menuitem", name="Sign out").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize(
    "path",
    ["/no/such/page/", "/workflows/nothing/", "/runs/00000000-0000-0000-0000-000000000000/"],
)
def test_an_unknown_page_is_told_inside_the_frame(visit: Visit, admin: User, path: str) -> None:
    page = visit(admin).open(path)

    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("searchbox")).to_be_visible()


def test_letters_lead_to_pages_but_stay_letters_in_fields(visit: Visit, admin: User) -> None:
    page = visit(admin).open("/workflows/")

    page.get_by_role("main").get_by_role("searchbox").focus()
    page.keyboard.type("g?r")
    expect(page.get_by_role("main").get_by_role("searchbox")).to_have_value("g?r")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("r")

    expect(page).to_have_url(re.compile(r"/runs/$"))
