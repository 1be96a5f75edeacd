import matplotlib
import numpy as np

from fmrifm.report.heatmaps import cell_text, heatmap
from fmrifm.report.svg import FIRST, INK, PAPER, SECOND, STYLE


def test_strong_cells_are_opaque_with_light_text_and_signs_differ_in_colour():
    strength = np.array([[1.0, 0.5, 0.0], [-1.0, -0.3, np.nan]])
    with matplotlib.rc_context(STYLE):
        _, axes = heatmap(strength, [list("abc"), list("def")], ["r", "s"], ["x", "y", "z"])
    rgb = matplotlib.colors.to_rgb
    cells = {(cell.get_x() // 1 + 1, cell.get_y() // 1 + 1): cell for cell in axes.patches}
    assert [cells[place, 0].get_alpha() for place in range(3)] == [1.0, 0.4, 0.0]
    assert rgb(cells[0, 0].get_facecolor()) == rgb(FIRST)
    assert rgb(cells[0, 1].get_facecolor()) == rgb(SECOND)
    assert [text.get_color() for text in axes.texts] == [PAPER, INK, INK, PAPER, INK, INK]
    assert cells[2, 1].get_alpha() == 0.0


def test_what_rounds_to_nothing_has_no_sign():
    assert (cell_text(-0.004, 2), cell_text(-0.006, 2), cell_text(float("nan"), 2)) == ("0.00", "−0.01", "–")
