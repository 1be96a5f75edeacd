import itertools
from pathlib import Path

import pandas as pd
import pytest

from fmrifm.config import SplitConfig
from fmrifm.errors import ConfigError, DataError
from fmrifm.evaluation.splits import Fold, inner_folds, make_folds, without_seen


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


def test_every_round_tests_everyone_once_and_is_shuffled_anew() -> None:
    table = people(BALANCED)
    folds = make_folds(table, SplitConfig(folds=5, repeats=3))
    assert [fold.repeat for fold in folds] == [0] * 5 + [1] * 5 + [2] * 5
    rounds = [{fold.test for fold in folds if fold.repeat == repeat} for repeat in range(3)]
    assert all(sorted(itertools.chain(*tests)) == sorted(table["subject"]) for tests in rounds)
    assert not rounds[0] & rounds[1]
    assert not rounds[1] & rounds[2]
    assert make_folds(table, SplitConfig(folds=5))[:5] == folds[:5]


@pytest.mark.parametrize("splits", ["kfold", "site"])
def test_nobody_is_learnt_from_whose_signal_is_tested_under_another_name(splits: str) -> None:
    table = people(BALANCED).sort_values("subject").reset_index(drop=True)
    table["sha256"] = [f"bytes {number}" for number in range(len(table))]
    table["signature"] = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(1, len(table) + 1)]
    table.loc[40, "sha256"] = table.loc[0, "sha256"]  # s000 at north is s040 at south
    table.loc[20, "signature"] = f"{int(table.loc[3, 'signature'], 16) ^ 1:016x}"  # one bit from s003
    folds = make_folds(table, SplitConfig(splits=splits))
    for one, other in (("s000", "s040"), ("s003", "s020")):
        for fold in folds:
            assert not (one in fold.train and other in fold.test)
            assert not (other in fold.train and one in fold.test)
    assert sorted(itertools.chain(*(fold.test for fold in folds))) == table["subject"].tolist()


def test_only_kfold_can_be_repeated() -> None:
    with pytest.raises(ConfigError, match="repeats is 2; expected 1 with splits site; only kfold is shuffled"):
        SplitConfig(splits="site", repeats=2)


def folds_file(folder: Path, rows: list[tuple[str, ...]], columns: str = "subject\tfold\trepeat") -> str:
    path = folder / "folds.tsv"
    path.write_text("\n".join([columns, *("\t".join(row) for row in rows)]))
    return str(path)


def test_a_table_says_who_is_tested_when(tmp_path: Path) -> None:
    table = people({("north", 0): 2, ("north", 1): 2})
    first = [("s000", "a", "x"), ("s001", "b", "x"), ("s002", "a", "x"), ("s003", "b", "x"), ("s999", "a", "x")]
    second = [("s000", "a", "y"), ("s001", "b", "y"), ("s002", "b", "y"), ("s003", "a", "y")]
    folds = make_folds(table, SplitConfig(splits=folds_file(tmp_path, [*first, *second])))
    assert folds == [
        Fold(train=("s001", "s003"), test=("s000", "s002"), repeat=0),
        Fold(train=("s000", "s002"), test=("s001", "s003"), repeat=0),
        Fold(train=("s001", "s002"), test=("s000", "s003"), repeat=1),
        Fold(train=("s000", "s003"), test=("s001", "s002"), repeat=1),
    ]


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        ([("s000", "1"), ("s001", "2")], "subject\tfold", r"no fold for 2 labelled subjects \(s002, s003\)"),
        ([*((f"s00{i}", "1") for i in range(4)), ("s001", "2")], "subject\tfold", "two folds in one round for s001"),
        ([(f"s00{i}", "1") for i in range(4)], "subject\tpart", "has columns subject, part; expected subject and fold"),
        ([(f"s00{i}", "") for i in range(4)], "subject\tfold", "a row without subject or fold"),
        ([(f"s00{i}", "1") for i in range(4)], "subject\tfold", "no subject of label 0 is left to learn from"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    rows: list[tuple[str, ...]], columns: str, told: str, tmp_path: Path
) -> None:
    table = people({("north", 0): 2, ("north", 1): 2})
    with pytest.raises(DataError, match=told):
        make_folds(table, SplitConfig(splits=folds_file(tmp_path, rows, columns)))


def test_a_split_that_is_neither_a_word_nor_a_file_is_refused() -> None:
    with pytest.raises(DataError, match=r"splits is 'kfolds': no such file\. Set kfold, site, or a table"):
        make_folds(people(BALANCED), SplitConfig(splits="kfolds"))


def test_inner_folds_divide_the_training_subjects_alone() -> None:
    table = people(BALANCED, scans=2)
    outer = make_folds(table, SplitConfig(folds=5))[2]
    inner = inner_folds(table, outer, folds=4, seed=0)
    assert sorted(itertools.chain(*(fold.test for fold in inner))) == list(outer.train)
    for fold in inner:
        assert sorted(fold.train + fold.test) == list(outer.train)
    with pytest.raises(DataError, match=r"30 inner folds need .* one label has 20\. Lower --inner_folds"):
        inner_folds(table, outer, folds=30, seed=0)


def test_subjects_that_were_pretrained_on_are_not_tested_where_that_is_asked() -> None:
    table = people(BALANCED).sort_values("subject").reset_index(drop=True)
    table["sha256"] = [f"bytes {number % 49}" for number in range(50)]  # s049 is s000
    folds = make_folds(table, SplitConfig(folds=5))
    left = without_seen(folds, {"s000", "s007", "elsewhere"}, table)
    tested = sorted(itertools.chain(*(fold.test for fold in left)))
    assert tested == [name for name in table["subject"] if name not in ("s000", "s007", "s049")]
    assert [fold.train for fold in left] == [fold.train for fold in folds]
    with pytest.raises(DataError, match="All subjects that the folds test were pretrained on"):
        without_seen(folds, set(table["subject"]), table)
