import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from fmrifm.report.scales import DIVERGING, FADING, colour_bar, limit_of


def test_one_voxel_cannot_set_the_scale_and_missing_ones_do_not_count():
    values = np.concatenate([np.linspace(-1, 1, 201), [50.0, np.nan]])
    assert 0.95 < limit_of(values) < 1.05
    assert limit_of(np.zeros(4)) == 1.0


def test_zero_is_transparent_and_signs_differ_in_hue_not_in_strength():
    low, zero, high = FADING([0.0, 0.5, 1.0])
    assert zero[3] == 0
    assert low[3] == high[3] == 1
    assert low[2] > low[0]
    assert high[0] > high[2]
    np.testing.assert_allclose(FADING([0.25, 0.75])[:, 3], 0.5, atol=0.01)


def test_the_bar_has_its_unit_and_ends():
    figure = Figure()
    colour_bar(figure, 0.3, "log-odds")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "log-odds"
    assert axes.get_xlim() == (-0.3, 0.3)
    (steps,) = axes.findobj(QuadMesh)
    assert steps.get_cmap() == DIVERGING
