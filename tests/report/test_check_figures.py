import pandas as pd

from fmrifm.report.check_figures import agreements, silencing, stability


def test_curves_tell_where_they_start_and_end_beside_the_mean_random_order():
    rows = [("occlusion", "importance", 0.1, 0.8), ("occlusion", "importance", 0.4, 0.3)]
    rows += [("random", "random", share, value) for share, value in ((0.1, 0.9), (0.4, 0.7), (0.1, 0.8), (0.4, 0.6))]
    curves = pd.DataFrame(rows, columns=["method", "order", "share", "value"])
    drawn = silencing(curves, "deletion")
    assert "occlusion from 0.80 to 0.30; random order from 0.85 to 0.65" in drawn.svg
    assert "falls sooner" in drawn.caption
    assert ">voxels silenced, most important first (%)<" in drawn.svg


def test_agreement_is_symmetric_and_one_with_itself():
    pairs = pd.DataFrame({"method": ["fidelity"], "check": ["agreement"], "other": ["occlusion"], "value": [-0.3]})
    (drawn,) = agreements(pairs)
    assert "fidelity and occlusion −0.30" in drawn.svg
    assert drawn.svg.count(">−0.30<") == 2
    assert drawn.svg.count(">1.00<") == 2
    assert agreements(pairs.assign(check="size")) == []


def test_stability_has_its_chance_line():
    rows = pd.DataFrame({"overlap": [0.5, 0.7], "spearman": [0.2, 0.4], "chance": [0.06, 0.06], "k": [10, 10]})
    drawn = stability({"occlusion": rows}, "folds")
    assert "means: occlusion 0.60 and 0.30" in drawn.svg
    assert "chance, 0.06 of the 10 leading regions" in drawn.caption
