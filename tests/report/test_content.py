import math

import pytest

from fmrifm.report.content import Table, counted, file_stem, listed, number, significant


@pytest.mark.parametrize(
    ("value", "text"), [(-0.126, "−0.13"), (-0.004, "0.00"), (0.5, "0.50"), (None, "–"), (math.nan, "–")]
)
def test_numbers_have_a_true_minus_and_missing_ones_a_dash(value, text):
    assert number(value) == text


def test_significant_digits_do_not_depend_on_size():
    assert [significant(value) for value in (-0.012345, 12.345, math.inf)] == ["−0.0123", "12.3", "–"]


@pytest.mark.parametrize(("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")])
def test_words_are_joined_as_in_a_sentence(words, text):
    assert listed(words) == text


def test_a_noun_follows_its_count():
    assert (counted(1, "scan"), counted(1200, "scan")) == ("1 scan", "1,200 scans")


def test_a_rounded_number_remembers_what_it_was():
    assert number(1 / 3) == "0.33"
    assert number(1 / 3).value == "0.333333333333"
    assert significant(-12345.678).value == "-12345.678"
    assert number(3.0, 0).value == "3"
    assert number(None).value == significant(math.nan).value == ""


def test_file_names_hold_the_first_sentence_in_letters_that_any_file_system_takes():
    assert Table(caption="All 166 regions by R². More.", columns=[], rows=[]).file_name == "all_166_regions_by_r².tsv"
    assert file_stem("Regions", "../a: b") == "regions-a"
    assert len(file_stem("脑" * 300).encode()) <= 180
