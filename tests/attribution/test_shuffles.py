import numpy as np
import pandas as pd

from fmrifm.attribution.shuffles import shuffle_within


def test_labels_move_within_their_site_alone() -> None:
    label, site = np.array([0, 0, 1, 1, 1, 0]), pd.Series(list("aabbab"))
    rng = np.random.default_rng(0)
    drawn = np.array([shuffle_within(label, site, rng) for _ in range(50)])
    assert (drawn[:, [0, 1, 4]].sum(axis=1) == 1).all()
    assert (drawn[:, [2, 3, 5]].sum(axis=1) == 2).all()
    assert len(np.unique(drawn, axis=0)) == 9
    assert label.tolist() == [0, 0, 1, 1, 1, 0]
