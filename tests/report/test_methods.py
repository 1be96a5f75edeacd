from fmrifm.report.methods import featured, method_of, sorted_methods, title_of


def test_methods_come_in_reading_order_with_unknown_ones_last():
    assert sorted_methods(["mine", "rollout", "fidelity", "occlusion"]) == ["occlusion", "fidelity", "rollout", "mine"]


def test_one_method_of_each_kind_is_shown_at_length():
    assert featured(["rollout", "connectome", "fidelity", "gradient_x_input"]) == ["gradient_x_input", "fidelity"]
    assert featured(["fidelity", "contribution"]) == ["fidelity"]
    assert featured(["mine"]) == ["mine"]
    assert featured([]) == []


def test_a_method_from_elsewhere_keeps_its_name():
    assert (method_of("mine").unit, title_of("mine"), title_of("fidelity")) == (
        "importance by mine", "mine", "Fidelity"
    )  # fmt: skip
