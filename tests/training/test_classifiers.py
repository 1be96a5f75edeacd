import json

import pytest
import torch

from fmrifm.errors import CheckpointError
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import save_pretrained
from fmrifm.training.classifiers import FittedFold, load_folds, save_fold


@pytest.fixture
def run(tmp_path, pretrained):
    save_pretrained(tmp_path / "checkpoints" / "pretrained", pretrained)
    return tmp_path


def fitted(number: int, pretrained) -> FittedFold:
    torch.manual_seed(number)
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    return FittedFold(number=number, target="dx", classifier=classifier, train=("s01", "s02"), test=("s00",))


def test_a_loaded_fold_predicts_the_same_to_the_last_bit(run, pretrained):
    signal, tr_s = torch.randn(1, 3, 8, 100, generator=torch.Generator().manual_seed(0)), torch.tensor([2.0])
    fold = fitted(0, pretrained)
    save_fold(run / "checkpoints", fold, pooling="connectivity", full=False)
    _, [loaded] = load_folds(run)
    assert torch.equal(loaded.classifier(signal, tr_s), fold.classifier(signal, tr_s))
    assert (loaded.number, loaded.target, loaded.train, loaded.test) == (0, "dx", ("s01", "s02"), ("s00",))
    assert not loaded.classifier.training


def test_a_trained_encoder_is_that_of_its_fold(run, pretrained):
    save_fold(run / "checkpoints", fitted(0, pretrained), pooling="connectivity", full=False)
    with torch.no_grad():
        pretrained.model.encoder.embed.weight.fill_(0.25)
    save_fold(run / "checkpoints", fitted(1, pretrained), pooling="connectivity", full=True)
    loaded, folds = load_folds(run)
    assert [(fold.classifier.autoencoder.encoder.embed.weight == 0.25).all().item() for fold in folds] == [False, True]
    assert not (loaded.model.encoder.embed.weight == 0.25).any()


def test_a_frozen_fold_holds_the_linear_layer_alone(run, pretrained):
    save_fold(run / "checkpoints", fitted(0, pretrained), pooling="connectivity", full=False)
    assert (run / "checkpoints" / "fold-0.safetensors").stat().st_size < 1000
    content = json.loads((run / "checkpoints" / "fold-0.json").read_text())
    assert {"kind": "classifier", "encoder": "frozen", "pooling": "connectivity"}.items() <= content.items()


def test_ten_folds_come_back_in_their_order(run, pretrained):
    for number in range(11):
        save_fold(run / "checkpoints", fitted(number, pretrained), pooling="connectivity", full=False)
    assert [fold.number for fold in load_folds(run)[1]] == list(range(11))


def test_a_pretraining_run_has_no_classifier_and_says_so(run):
    with pytest.raises(CheckpointError, match=r"no classifier here\. Expected the run folder of `fmrifm finetune`"):
        load_folds(run)
