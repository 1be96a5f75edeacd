import numpy as np
import pandas as pd
import pytest

from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.evaluation.labels import labelled_scans


def test_only_scans_with_a_label_are_taken(store: Store) -> None:
    scans = store.scans.assign(trait=[None, *store.scans["dx"][1:]])
    labelled = labelled_scans(scans, "trait")
    assert labelled["scan"].tolist() == store.scans["scan"][1:].tolist()
    assert labelled["label"].tolist() == store.scans["dx"][1:].tolist()
    assert "label" not in scans


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 1, 3, 3], r"Column 'trait' holds \[0, 1, 3\]; expected 0 and 1, both present, or 0, 1, 2 and so on"),
        ([1, 2, 1, 2], r"Column 'trait' holds \[1, 2\]; expected 0 and 1"),
        ([0.5, 1, 0, 1], r"Column 'trait' holds \[0.0, 0.5, 1.0\]; expected 0 and 1"),
        ([0, 0, 0, 0], r"Column 'trait' holds \[0\]; expected 0 and 1, both present"),
        ([None, None, None, None], r"Column 'trait' holds \[\]; expected 0 and 1"),
        (["typical", 1, 0, "adhd"], r"Column 'trait' holds \[0, 1, 'adhd', 'typical'\]; expected 0 and 1"),
    ],
)
def test_a_column_without_whole_numbers_from_0_is_refused_with_what_it_holds(values: list[object], told: str) -> None:
    scans = pd.DataFrame({"subject": list("abcd"), "trait": values})
    with pytest.raises(DataError, match=told):
        labelled_scans(scans, "trait")


def test_more_than_two_classes_are_taken_as_they_are() -> None:
    scans = pd.DataFrame({"subject": list("abcd"), "subtype": [3.0, 0.0, 2.0, 1.0]})
    assert labelled_scans(scans, "subtype")["label"].tolist() == [3, 0, 2, 1]


def test_a_missing_column_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"no column 'adhd'; it has subject, dx\. Choose --target"):
        labelled_scans(pd.DataFrame({"subject": ["a"], "dx": [1]}), "adhd")


def test_labels_that_differ_inside_a_subject_are_refused_by_name() -> None:
    scans = pd.DataFrame({"subject": ["a", "b", "b", "c"], "dx": [0, 0, 1, 1]})
    with pytest.raises(DataError, match=r"Subjects with two labels in 'dx': b\. Mend the table\."):
        labelled_scans(scans, "dx")


def test_true_and_false_are_labels() -> None:
    scans = pd.DataFrame({"subject": list("abc"), "case": np.array([True, False, True])})
    assert labelled_scans(scans, "case")["label"].tolist() == [1, 0, 1]
