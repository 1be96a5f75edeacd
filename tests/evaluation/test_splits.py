import itertools

import numpy as np
import pandas as pd
import pytest

from fmrifm.config import SplitConfig
from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.evaluation.splits import labelled_scans, make_folds


def people(sizes: dict[tuple[str, int], int], scans: int = 1) -> pd.DataFrame:
    """So many subjects of each site and label, each with the same number of scans, in shuffled order."""
    names = itertools.count()
    rows = [
        {"subject": f"s{name:03d}", "site": site, "label": label}
        for (site, label), size in sizes.items()
        for name in itertools.islice(names, size)
        for _ in range(scans)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


BALANCED = {("north", 0): 20, ("north", 1): 10, ("south", 0): 5, ("south", 1): 15}


@pytest.mark.parametrize("splits", ["kfold", "site"])
def test_a_subject_is_never_on_both_sides_and_is_tested_once(splits: str) -> None:
    table = people(BALANCED, scans=3)
    folds = make_folds(table, SplitConfig(splits=splits))
    everyone = sorted(table["subject"].unique())
    assert sorted(itertools.chain(*(fold.test for fold in folds))) == everyone
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert sorted(fold.train + fold.test) == everyone


def test_every_fold_has_the_same_share_of_each_site_and_label() -> None:
    table = people(BALANCED)
    for fold in make_folds(table, SplitConfig(folds=5)):
        test = table[table["subject"].isin(fold.test)]
        assert test.groupby(["site", "label"]).size().to_dict() == {
            ("north", 0): 4, ("north", 1): 2, ("south", 0): 1, ("south", 1): 3,
        }  # fmt: skip


def test_small_strata_are_pooled_and_the_label_stays_balanced() -> None:
    tiny_sites = {(f"site {number}", label): 2 for number in range(5) for label in (0, 1)}
    table = people(tiny_sites)
    for fold in make_folds(table, SplitConfig(folds=5)):
        assert table[table["subject"].isin(fold.test)]["label"].value_counts().to_dict() == {0: 2, 1: 2}


def test_the_label_is_balanced_where_even_the_pooled_stratum_is_small() -> None:
    table = people({("north", 0): 10, ("north", 1): 8, ("south", 1): 2})
    for fold in make_folds(table, SplitConfig(folds=5)):
        assert table[table["subject"].isin(fold.test)]["label"].value_counts().to_dict() == {0: 2, 1: 2}


def test_leave_one_site_out_tests_one_whole_site_a_fold() -> None:
    table = people(BALANCED)
    folds = make_folds(table, SplitConfig(splits="site"))
    sites = [set(table[table["subject"].isin(fold.test)]["site"]) for fold in folds]
    assert sites == [{"north"}, {"south"}]
    assert [len(fold.test) for fold in folds] == [30, 20]


def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_table() -> None:
    table = people(BALANCED)
    folds = make_folds(table, SplitConfig(seed=1))
    assert folds == make_folds(table.sample(frac=1, random_state=9), SplitConfig(seed=1))
    assert folds != make_folds(table, SplitConfig(seed=2))
    assert all(isinstance(name, str) for fold in folds for name in fold.train)


def test_too_few_subjects_of_a_label_are_refused_with_the_number() -> None:
    with pytest.raises(DataError, match=r"5 folds need as many subjects of each label; one label has 3\. Lower"):
        make_folds(people({("north", 0): 9, ("north", 1): 3}), SplitConfig(folds=5))


def test_leaving_the_only_site_out_is_refused() -> None:
    with pytest.raises(DataError, match="Leave-one-site-out needs two sites; the store has one"):
        make_folds(people({("north", 0): 9, ("north", 1): 3}), SplitConfig(splits="site"))


def test_leaving_out_the_only_site_with_cases_is_refused_by_name() -> None:
    table = people({("north", 0): 9, ("north", 1): 3, ("south", 0): 4})
    with pytest.raises(DataError, match="Without site 'north' no subject of label 1 is left to learn from"):
        make_folds(table, SplitConfig(splits="site"))


def test_only_scans_with_a_label_are_taken(store: Store) -> None:
    scans = store.scans.assign(trait=[None, *store.scans["dx"][1:]])
    labelled = labelled_scans(scans, "trait")
    assert labelled["scan"].tolist() == store.scans["scan"][1:].tolist()
    assert labelled["label"].tolist() == store.scans["dx"][1:].tolist()
    assert "label" not in scans


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 1, 2, 3], r"Column 'trait' holds \[0, 1, 2, 3\]; expected 0 and 1, both present\."),
        ([0, 0, 0, 0], r"Column 'trait' holds \[0\]; expected 0 and 1, both present\."),
        ([None, None, None, None], r"Column 'trait' holds \[\]; expected 0 and 1"),
        (["typical", 1, 0, "adhd"], r"Column 'trait' holds \[0, 1, 'adhd', 'typical'\]; expected 0 and 1"),
    ],
)
def test_a_column_that_is_not_binary_is_refused_with_what_it_holds(values: list[object], told: str) -> None:
    scans = pd.DataFrame({"subject": list("abcd"), "trait": values})
    with pytest.raises(DataError, match=told):
        labelled_scans(scans, "trait")


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
