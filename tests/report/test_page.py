"""The page as a browser meets it: parsed tags, not strings, wherever that can be."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from fmrifm.report.document import document
from fmrifm.report.page import run_page

HOSTILE = "<script>alert(1)</script>\"'&$x$"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, in order; fails on a tag that closes another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def render(runs) -> str:
    return document(run_page(runs))


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", page)


def test_the_whole_chain_gives_every_section_once(page):
    assert titles(page) == [
        "Cohort",
        "Pretraining",
        "Classification",
        "Trial of masking",
        "Regions and systems",
        "Provenance",
    ]
    assert len(page.encode()) < 3_000_000


@pytest.mark.parametrize(
    ("stage", "title"),
    [
        ("pretrain", "Pretraining"),
        ("finetune", "Classification (finetune)"),
        ("evaluate", "Classification"),
        ("compare", "Trial of masking"),
        ("attribute", "Regions and systems"),
    ],
)
def test_a_single_run_gives_its_own_section_alone(make_run, stage, title):
    assert titles(render([make_run(stage)])) == ["Cohort", title, "Provenance"]


def test_two_runs_of_a_stage_are_told_apart(make_run):
    runs = [make_run("evaluate", name) for name in ("random", "region")]
    assert titles(render(runs))[1:4] == [
        "Runs compared",
        "Classification: random",
        "Classification: region",
    ]


def test_a_stage_that_the_report_does_not_know_keeps_its_provenance(make_run):
    run = make_run("pretrain")
    object.__setattr__(run, "provenance", {"stage": "embed", "command": "fmrifm embed --out trial"})
    page = render([run])
    assert titles(page) == ["Cohort", "Provenance"]
    assert "fmrifm embed --out trial" in page


def test_nothing_is_loaded_from_anywhere(page):
    parsed = Page(page)
    assert not {"link", "object", "img"} & {tag for tag, _ in parsed.tags}
    assert all(frame["sandbox"] == "allow-scripts" and "src" not in frame for frame in parsed.all("iframe"))
    assert "://" not in page
    references = [
        value
        for _, attributes in parsed.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset") and value
    ]
    assert references
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in references)
    assert "@import" not in page


def test_the_browser_may_run_the_page_own_script_alone(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    policy = Page(page).all("meta")[1]["content"]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")


def test_hostile_names_appear_as_text(make_run):
    evaluate = make_run("evaluate", name=f"x{HOSTILE.replace('/', '')}", leakage=(HOSTILE,), rescued=[HOSTILE])
    attribute = make_run("attribute", first=HOSTILE)
    scans = pd.read_csv(evaluate.path / "scans.tsv", sep="\t")
    scans.assign(site=HOSTILE).to_csv(evaluate.path / "scans.tsv", sep="\t", index=False)
    (evaluate.path / "config.yaml").write_text(f"target: dx # {HOSTILE}\n")
    parsed = Page(render([evaluate, attribute]))
    assert len(parsed.all("script")) == 1
    assert parsed.text.count(HOSTILE) >= 5
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


@pytest.mark.parametrize("name", [HOSTILE, "海马体 左", "a" * 300])
def test_a_hostile_method_and_two_runs_of_it_appear_as_text(make_run, name):
    methods = ("occlusion", "fidelity", "rollout", name)
    runs = [make_run("attribute", f"{run}{name[:40].replace('/', '')}", first=name, methods=methods) for run in "ab"]
    parsed = Page(render(runs))
    assert parsed.text.count(name) >= 10
    assert len(parsed.all("script")) == 1
    assert not any(attribute.startswith("on") for _, attributes in parsed.tags for attribute in attributes)


def test_every_figure_has_words_and_every_table_a_caption_and_headers(page):
    parsed = Page(page)
    drawings = parsed.all("svg")
    assert len(drawings) == 29
    assert len(parsed.all("figcaption")) == len(drawings) + len(parsed.all("iframe"))
    assert all(drawing["role"] == "img" and len(drawing["aria-label"] or "") > 20 for drawing in drawings)
    assert len(parsed.all("table")) == len(parsed.all("caption"))
    assert all(header["scope"] in ("row", "col") for header in parsed.all("th"))
    assert [tag for tag, _ in parsed.tags if tag in ("h1", "h2")] == ["h1"] + ["h2"] * 6
    assert parsed.all("html") == [{"lang": "en"}]


def test_ids_are_unique_and_links_resolve(page):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in parsed.all("a")} <= {f"#{id_}" for id_ in ids}


def test_a_finetune_run_that_evaluation_does_not_repeat_is_shown(make_run):
    finetune, evaluate = make_run("finetune"), make_run("evaluate")
    assert "Classification (finetune)" not in titles(render([finetune, evaluate]))
    (finetune.path / "predictions.tsv").unlink()
    assert "Classification (finetune)" in titles(render([finetune, evaluate]))


def test_warnings_stand_above_the_summary(make_run):
    page = render([make_run("evaluate", leakage=("Labels follow site.",), synthetic=False)])
    assert page.index("leak until shown otherwise") < page.index("Labels follow site.") < page.index('class="summary"')


def test_the_same_runs_give_the_same_page(chain, page):
    assert render(chain) == page


def test_levels_of_a_factor_have_smaller_headings_inside_their_section(make_run):
    page = render([make_run("compare", factor={"masking.ratio": [0.5, 0.75]})])
    headings = re.findall(r"<h([23])[^>]*>([^<]*)</h", page)
    assert headings[1:4] == [("2", "Trial of masking"), ("3", "masking.ratio 0.5"), ("3", "masking.ratio 0.75")]
    Page(page)
