import numpy as np
import pandas as pd

from fmrifm.attribution.subjects import long_table, subjects_of

SCANS = pd.DataFrame(
    {"scan": ["b1", "a1", "b2"], "subject": ["b", "a", "b"], "site": ["x", "y", "x"], "label": [1, 0, 1]}
)
REGIONS = pd.DataFrame({"index": [3, 41], "name": ["A", "B"]})


def test_scans_of_a_subject_are_averaged_over_those_that_are_known() -> None:
    subjects = subjects_of(SCANS)
    assert subjects.table["subject"].tolist() == ["a", "b"]
    assert subjects.case.tolist() == [False, True]
    found = subjects.average(np.array([[1.0, np.nan], [5.0, 6.0], [3.0, 2.0]]))
    assert found.tolist() == [[5.0, 6.0], [2.0, 2.0]]
    assert np.isnan(subjects.average(np.full((3, 1), np.nan))).all()


def test_the_long_table_has_one_row_a_subject_and_region_and_no_score_where_a_region_is_not_covered() -> None:
    mean = np.array([[0.1, 0.2], [0.3, 0.4]])
    table = long_table(subjects_of(SCANS), REGIONS, "occlusion", mean, 10 * mean, np.array([[1.0, 0.4], [1.0, 0.5]]))
    assert table[["subject", "site", "label", "index"]].to_numpy().tolist() == [
        ["a", "y", 0, 3], ["a", "y", 0, 41], ["b", "x", 1, 3], ["b", "x", 1, 41],
    ]  # fmt: skip
    assert table["mean"].tolist()[0::2] == [0.1, 0.3]
    assert np.isnan(table["total"][1])
    assert table["total"][3] == 4.0


def test_fidelity_has_no_total_and_unlabelled_subjects_no_label() -> None:
    subjects = subjects_of(SCANS.drop(columns="label"))
    table = long_table(subjects, REGIONS, "fidelity", np.zeros((2, 2)), None, np.ones((2, 2)))
    assert table[["label", "total"]].isna().all(axis=None)
