import numpy as np
import torch

from fmrifm.attribution.judges import SPOILT, judges, randomised
from fmrifm.attribution.occlusion import region_occlusion
from fmrifm.data.store import Store
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.classifiers import FittedFold


def folds_of(classifier: ScanClassifier) -> list[FittedFold]:
    sides = [("s00", "s01", "s02", "s03", "s08", "s09"), ("s04", "s05", "s06", "s07", "s10", "s11")]
    return [
        FittedFold(number=number, target="dx", classifier=classifier, train=sides[number], test=sides[1 - number])
        for number in range(2)
    ]


def test_random_weights_are_the_same_numbers_in_another_order(shaken: ScanClassifier) -> None:
    copied = randomised(shaken, torch.Generator().manual_seed(0))
    for (name, before), after in zip(shaken.named_parameters(), copied.parameters(), strict=True):
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values), name
    assert not torch.equal(shaken.linear.weight, copied.linear.weight)
    assert torch.equal(copied.linear.weight, randomised(shaken, torch.Generator().manual_seed(0)).linear.weight)


def test_layers_of_shuffled_labels_are_fitted_for_each_fold_and_differ(
    shaken: ScanClassifier, store: Store, scan
) -> None:
    scans = labelled_scans(store.scans, "dx")
    settings = {"encoder": "frozen", "pooling": "connectivity", "penalty": [1.0]}
    found = judges(folds_of(shaken), np.array([0, 1]), store, scans, settings, seed=0)
    assert found.of(1) is found.folds[1].classifier
    layers = [*found.shuffled[0], *found.shuffled[1]]
    assert [len(of_fold) for of_fold in found.shuffled] == [SPOILT, SPOILT]
    assert len({layer.bias.item() for layer in layers}) > 3  # six scans: some draws agree
    assert region_occlusion(shaken, *scan, found.shuffled_of(0)).shape == (1 + SPOILT, 6)
    assert len(found.random_heads) == SPOILT - 1


def test_where_the_encoder_learnt_from_labels_no_layer_can_undo_that(shaken: ScanClassifier, store: Store) -> None:
    scans = labelled_scans(store.scans, "dx")
    for settings in ({"encoder": "full", "pooling": "connectivity"}, {"encoder": "frozen", "pooling": "attention"}):
        found = judges(folds_of(shaken), np.array([0, 1]), store, scans, {**settings, "penalty": [1.0]}, seed=0)
        assert found.shuffled == ((), ())
