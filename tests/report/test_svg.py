import re

import matplotlib
import pytest
from matplotlib.figure import Figure

from fmrifm.report.svg import FIRST, STYLE, picture

HOSTILE = '<script>alert("x")</script> $a_b$ --> &amp;'


@matplotlib.rc_context(STYLE)
def chart(text: str = "plain") -> str:
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 2], color=FIRST)
    axes.set_title(text)
    return str(picture(figure, alt=text, caption="").svg)


def test_hostile_text_appears_as_text_and_is_not_read_as_mathematics():
    svg = chart(HOSTILE)
    assert "<script" not in svg
    assert "&lt;script&gt;alert" in svg
    assert "$a_b$" in svg


def test_alt_text_cannot_leave_its_attribute():
    label = re.match(r'<svg role="img" aria-label="([^"]*)"', chart(HOSTILE))
    assert label is not None
    assert "alert(&#34;x&#34;)" in label[1]


def test_colours_come_from_the_page():
    svg = chart()
    assert "stroke: var(--first)" in svg
    assert "fill: var(--ink)" in svg
    assert FIRST not in svg


def test_ids_are_unique_over_figures_and_every_reference_resolves():
    page = chart("one") + chart("two")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', page)
    assert references
    assert set(references) <= set(ids)


@pytest.mark.parametrize("unwanted", ["http", "<style", "<metadata", "<?xml", "<!DOCTYPE"])
def test_nothing_but_the_drawing_is_kept(unwanted):
    assert unwanted not in chart()


def test_the_same_figure_gives_the_same_svg():
    assert chart() == chart()
