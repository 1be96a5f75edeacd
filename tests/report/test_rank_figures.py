import pandas as pd

from fmrifm.report.rank_figures import region_ranks, system_ranks


def ranked(names, indices=None):
    count = range(1, len(names) + 1)
    table = {"index": indices or list(count), "name": names, "system": names, "rank": list(count)}
    return pd.DataFrame(table)


def test_regions_that_lead_in_any_method_are_shown_with_their_rank_in_each():
    letters = [f"R{k}" for k in range(1, 13)]
    turned = ranked(letters[::-1], list(range(12, 0, -1)))
    drawn = region_ranks({"occlusion": ranked(letters), "fidelity": turned}, planted=[2])
    # The five leaders of each; those by occlusion, a method of the classification, decide the order.
    assert "occlusion, fidelity: R1 1, 12; ◆ R2 2, 11; R3 3, 10; R4 4, 9; R5 5, 8; R8 8, 5; R9 9, 4;" in drawn.svg
    assert "R6 6" not in drawn.svg
    assert "◆: planted" in drawn.caption


def test_a_region_that_a_method_lacks_has_a_dash():
    drawn = region_ranks({"occlusion": ranked(["A", "B"]), "fidelity": ranked(["A"])}, planted=[])
    assert "A 1, 1; B 2, –" in drawn.svg
    assert "planted" not in drawn.caption


def test_systems_are_all_shown():
    given = {
        "fidelity": ranked(["Limbic", "Frontal", "Thalamus"]),
        "rollout": ranked(["Limbic", "Thalamus", "Frontal"]),
    }
    drawn = system_ranks({**given, "occlusion": ranked(["Thalamus", "Frontal", "Limbic"])})
    assert "by fidelity, rollout, occlusion: Thalamus 3, 2, 1; Frontal 2, 3, 2; Limbic 1, 1, 3." in drawn.svg
