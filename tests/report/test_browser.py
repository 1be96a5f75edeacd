"""The page in a real browser: opened from disk, with the network off."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fmrifm.report.content import Page, Section, Table, View, number, significant
from fmrifm.report.document import document
from fmrifm.report.page import run_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

HOSTILE = [
    "<script>alert(1)</script>",
    "\"quoted\" & 'quoted'",
    "long_" * 60,
    "海马体_左",
    "<img src=x onerror=alert(2)>",
]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@dataclass
class Tab:
    """A page that was opened, and what it did."""

    page: Any
    errors: list[str] = field(default_factory=list)
    """Messages of the console that are errors, exceptions and dialogs."""
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Tab]]:
    """Open a file; at the end of the test nothing may have gone wrong, nor anything else been asked for."""
    opened: list[tuple[Path, Tab]] = []

    def open_tab(path: Path, size: dict[str, int] = DESKTOP, **options: Any) -> Tab:
        context = browser.new_context(viewport=size, **options)
        context.set_offline(True)
        tab = Tab(context.new_page())
        tab.page.on("console", lambda message: message.type == "error" and tab.errors.append(message.text))
        tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.page.on("dialog", lambda dialog: (tab.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        # What a data: address holds is part of the file.
        tab.page.on("request", lambda ask: ask.url.startswith("data:") or tab.requests.append(ask.url))
        context.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        tab.page.goto(path.as_uri())
        opened.append((path, tab))
        return tab

    yield open_tab
    for path, tab in opened:
        tab.page.context.close()
        assert tab.errors == []
        assert tab.requests == [path.as_uri()]


@pytest.fixture(scope="module")
def file(chain, tmp_path_factory) -> Path:
    """The page over the whole chain, on disk."""
    return written(run_page(chain), tmp_path_factory.mktemp("page"))


def written(page: Page, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(document(page), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A page with one folded table of known numbers; two of its p look the same."""
    rows = [
        ["Insula_L", number(-1 / 3), significant(0.00012345678), "first\tof\nall"],
        ["Amygdala_R", number(None), significant(1e-9), "–"],
        ["Thal_VA_L", number(12.5), significant(0.30001), "−1 to 2"],
        ["Insula_R", number(2.0), significant(0.29999), "last"],
    ]
    table = Table(caption="All 4 regions", columns=["region", "score", "p", "words"], rows=rows, folded=True)
    page = Page(title="Small", about=["tables"], sections=[Section(title="Regions", tables=[table])])
    return written(page, tmp_path_factory.mktemp("small"))


def unfold(tab: Tab) -> Any:
    tab.page.locator("summary").click()
    return tab.page.locator("details")


def column(details: Any, place: int) -> list[str]:
    return details.locator(f"tbody tr:visible > :nth-child({place})").all_inner_texts()


def test_a_table_sorts_by_the_unrounded_number_with_missing_ones_last(visit, small):
    details = unfold(visit(small))
    head = details.get_by_role("button", name="score")
    head.click()
    assert column(details, 1) == ["Insula_L", "Insula_R", "Thal_VA_L", "Amygdala_R"]
    assert details.locator("th[aria-sort=ascending]").inner_text() == "score"
    head.click()
    assert column(details, 1) == ["Thal_VA_L", "Insula_R", "Insula_L", "Amygdala_R"]
    details.get_by_role("button", name="p", exact=True).press("Enter")
    assert column(details, 1) == ["Amygdala_R", "Insula_L", "Insula_R", "Thal_VA_L"]
    assert details.locator("th[aria-sort]").count() == 1


def test_a_search_keeps_the_rows_that_hold_every_word(visit, small):
    details = unfold(visit(small))
    box, count = details.get_by_label("Search"), details.locator("output")
    assert count.inner_text() == "4 rows"
    box.fill("insula")
    assert column(details, 1) == ["Insula_L", "Insula_R"]
    assert count.inner_text() == "2 of 4 rows"
    box.fill("R insula last")
    assert column(details, 1) == ["Insula_R"]
    box.fill("-0.33")
    assert column(details, 1) == ["Insula_L"]
    box.fill("no such region")
    assert count.inner_text() == "0 of 4 rows"
    box.fill("")
    assert count.inner_text() == "4 rows"


def test_the_download_has_all_rows_and_full_values_whatever_is_shown(visit, small, tmp_path):
    tab = visit(small)
    details = unfold(tab)
    details.get_by_label("Search").fill("thal")
    with tab.page.expect_download() as started:
        details.get_by_role("button", name="Download as TSV").click()
    assert started.value.suggested_filename == "all_4_regions.tsv"
    started.value.save_as(tmp_path / "table.tsv")
    assert (tmp_path / "table.tsv").read_text(encoding="utf-8").split("\n") == [
        "region\tscore\tp\twords",
        "Insula_L\t-0.333333333333\t0.00012345678\tfirst of all",
        "Amygdala_R\t\t1e-09\t",
        "Thal_VA_L\t12.5\t0.30001\t-1 to 2",
        "Insula_R\t2\t0.29999\tlast",
        "",
    ]


def test_the_regions_of_a_run_are_downloaded_as_the_stage_wrote_them(visit, file, chain, tmp_path):
    tab = visit(file)
    details = tab.page.locator("details", has_text="24 regions by occlusion")
    details.locator("summary").click()
    with tab.page.expect_download() as started:
        details.get_by_role("button", name="Download as TSV").click()
    started.value.save_as(tmp_path / "table.tsv")
    found = pd.read_csv(tmp_path / "table.tsv", sep="\t").set_index("region")["importance"]
    regions = next(run for run in chain if run.stage == "attribute").table("regions.tsv")
    wanted = regions[regions["method"] == "occlusion"].set_index("name")["importance"]
    pd.testing.assert_series_equal(found.sort_index(), wanted.sort_index(), check_names=False, rtol=1e-10)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_switched_remembered_and_given_back_to_the_system(visit, small, scheme):
    tab = visit(small, color_scheme=scheme)
    button = tab.page.get_by_role("button", name="Theme")

    def paper() -> str:
        return tab.page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = "rgb(255, 255, 255)", "rgb(18, 22, 26)"
    system = light if scheme == "light" else dark
    assert (button.inner_text(), paper()) == ("Theme: system", system)
    button.press("Enter")
    assert (button.inner_text(), paper()) == ("Theme: light", light)
    button.click()
    assert (button.inner_text(), paper()) == ("Theme: dark", dark)
    tab.page.emulate_media(media="print")
    assert paper() == light
    tab.page.emulate_media(media="screen")
    tab.page.reload()
    assert (button.inner_text(), paper()) == ("Theme: dark", dark)
    button.click()
    assert (button.inner_text(), paper()) == ("Theme: system", system)
    del tab.requests[1:]  # the reload


def test_a_browser_that_refuses_storage_still_switches(visit, browser, small):
    tab = visit(small)
    tab.page.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no') } })")
    tab.page.reload()
    del tab.requests[1:]
    tab.page.get_by_role("button", name="Theme").click()
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit, small):
    tab = visit(small)
    reached = []
    for _ in range(14):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.textContent.trim() || document.activeElement.tagName"))
        assert tab.page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 1")
        if reached[-1] == "All 4 regions":
            tab.page.keyboard.press("Enter")
        if reached[-1] == "words":
            break
    skip, theme, section, summary, search, download, table, *heads = reached
    assert (skip, theme, section) == ("Skip to the sections", "Theme: system", "Regions")
    assert (summary, search, download, heads) == (
        "All 4 regions",
        "INPUT",
        "Download as TSV",
        ["region", "score", "p", "words"],
    )
    assert table.startswith("All 4 regions")
    tab.page.locator(".skip").press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"


def test_the_page_is_small_and_ready_within_two_seconds(visit, file):
    assert file.stat().st_size < 8_000_000
    start = time.monotonic()
    tab = visit(file)
    details = tab.page.locator("details", has_text="24 regions by occlusion")
    details.locator("summary").click()
    details.get_by_label("Search").fill("limbic")
    assert "6 of 24 rows" in details.locator("output").inner_text()
    assert time.monotonic() - start < 2
    timing = tab.page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert timing < 2000


def test_a_view_is_built_when_it_is_reached_and_follows_its_sliders(visit, file):
    tab = visit(file)
    assert len(tab.page.frames) == 2
    assert tab.page.frames[1].locator("canvas").count() == 0
    tab.page.locator("figure.view").scroll_into_view_if_needed()
    frame = tab.page.frame_locator("figure.view iframe")
    place, slider = frame.locator("output").first, frame.get_by_label("x, left to right")
    playwright.expect(place).to_contain_text("mm")
    frame.locator("canvas").click(position={"x": 40, "y": 60})
    before, shown = place.inner_text(), frame.locator("canvas").screenshot()
    for _ in range(3):
        slider.press("ArrowRight")
    moved = place.inner_text()
    assert int(moved.removesuffix(" mm").replace("−", "-")) == int(before.removesuffix(" mm").replace("−", "-")) + 9
    assert frame.locator("canvas").screenshot() != shown
    frame.get_by_label("opacity").press("Home")
    assert frame.locator("output").last.inner_text() == "0 %"
    tab.requests[:] = [url for url in tab.requests if url != "about:srcdoc"]


def test_a_view_cannot_touch_the_page_nor_load_or_run_what_is_not_its_own(visit, tmp_path):
    hostile = "<p id=p>first</p><script>p.textContent = `ran ${top === window}`</script><img src='https://x.invalid/i'>"
    hostile += "<b onclick='alert(1)' id=b>b</b>"
    view = View(html=f"<!doctype html><title>t</title>{hostile}", caption="c", alt="a")
    page = Page(title="V", about=[], sections=[Section(title="V", views=[view])])
    tab = visit(written(page, tmp_path))
    frame = tab.page.frame_locator("iframe")
    playwright.expect(frame.locator("#p")).to_have_text("ran false")
    frame.locator("#b").click()
    assert tab.page.frames[1].evaluate(
        "(() => { try { return top.document.title } catch { return 'refused' } })()"
    ) == ("refused")
    refused = [error for error in tab.errors if "Content Security Policy" in error]
    assert len(refused) == len(tab.errors) >= 2
    tab.errors.clear()
    tab.requests[:] = [url for url in tab.requests if url not in ("about:srcdoc", "https://x.invalid/i")]


@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_wider_than_a_phone(visit, file, opened):
    tab = visit(file, PHONE)
    if opened:
        tab.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert tab.page.evaluate(WIDER, PHONE["width"]) == []


WIDER = """width => [...document.querySelectorAll("body *")].filter(element => {
  const { left, right } = element.getBoundingClientRect();
  return (right > width + 0.5 || left < -0.5) && !element.closest(".scroll > *, pre, svg *, .skip");
}).map(element => element.outerHTML.slice(0, 200))"""
"""Elements beyond the screen; what lies in a scroller of its own may be."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_rule_of_accessibility_is_seriously_broken(visit, file, scheme, size):
    tab = visit(file, size, color_scheme=scheme)
    tab.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    tab.page.locator("figure.view").scroll_into_view_if_needed()
    playwright.expect(tab.page.frame_locator("iframe").locator("output").first).to_contain_text("mm")
    assert serious(tab.page) == []
    assert serious(tab.page.frames[1]) == []
    tab.requests[:] = [url for url in tab.requests if url != "about:srcdoc"]


def serious(page_or_frame: Any) -> list[str]:
    found = axe.Axe().run(page_or_frame).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]} ({len(rule['nodes'])})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


def test_hostile_names_are_text(visit, make_run, tmp_path):
    evaluate = make_run("evaluate", leakage=tuple(HOSTILE), rescued=HOSTILE)
    attribute = make_run("attribute")
    rename(evaluate.path / "scans.tsv", "site", HOSTILE)
    for name in ("regions.tsv", "systems.tsv"):
        rename(attribute.path / name, "system", HOSTILE)
        rename(attribute.path / name, "method", HOSTILE)
    rename(attribute.path / "regions.tsv", "name", HOSTILE)
    path = written(run_page([evaluate, attribute]), tmp_path)
    for size in (PHONE, DESKTOP):
        tab = visit(path, size)
        tab.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        text = tab.page.locator("body").inner_text()
        cells = tab.page.locator("tbody tr > *").all_inner_texts()
        for name in HOSTILE:
            assert name in text
            assert name in cells
        assert tab.page.locator("script").count() == 1
        assert tab.page.locator("main img").count() == 0
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert tab.page.evaluate(WIDER, size["width"]) == []


def rename(path: Path, name: str, values: list[str]) -> None:
    """Give the first distinct values of a column other names."""
    table = pd.read_csv(path, sep="\t", dtype={name: str})
    others = dict(zip(table[name].unique(), values, strict=False))
    table.assign(**{name: table[name].replace(others)}).to_csv(path, sep="\t", index=False)
