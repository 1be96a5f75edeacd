import json
from typing import Any

import pytest
import torch

from fmrifm.config import FinetuneConfig
from fmrifm.errors import CheckpointError
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import save_pretrained
from fmrifm.training.classifiers import FittedFold, load_folds, save_fold
from fmrifm.training.finetune import choose_trained


@pytest.fixture
def run(tmp_path, pretrained):
    save_pretrained(tmp_path / "checkpoints" / "pretrained", pretrained)
    return tmp_path


def settings(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig(store="", checkpoint="", out="", **changes)


def fitted(number: int, pretrained, config: FinetuneConfig | None = None) -> FittedFold:
    """A fold whose trained weights, and tangent reference, are somewhere."""
    torch.manual_seed(number)
    config = config or settings()
    classifier = ScanClassifier(pretrained.model, config.pooling, config.connectivity).eval()
    choose_trained(classifier, config.encoder, config.lora_rank, torch.Generator().manual_seed(9))
    with torch.no_grad():
        for weight in classifier.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape))
        classifier.pooling.fit(classifier.summaries(torch.randn(3, 2, 8, 100), torch.tensor([2.0, 2.5, 2.0])))
    return FittedFold(number=number, target="dx", classifier=classifier, train=("s01", "s02"), test=("s00",))


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["frozen", "full", "lora"])
@pytest.mark.parametrize(
    ("pooling", "connectivity"),
    [
        ("mean", "correlation"),
        ("attention", "correlation"),
        ("recurrent", "correlation"),
        ("connectivity", "correlation"),
        ("connectivity", "tangent"),
        ("connectivity", "log_euclidean"),
    ],
)
def test_a_loaded_fold_predicts_the_same_to_the_last_bit(encoder, pooling, connectivity, run, pretrained):
    signal, tr_s = torch.randn(1, 3, 8, 100, generator=torch.Generator().manual_seed(0)), torch.tensor([2.0])
    config = settings(encoder=encoder, pooling=pooling, connectivity=connectivity, lora_rank=3)
    fold = fitted(0, pretrained, config)
    save_fold(run / "checkpoints", fold, config)
    _, [loaded] = load_folds(run)
    assert torch.equal(loaded.classifier(signal, tr_s), fold.classifier(signal, tr_s))
    assert (loaded.number, loaded.target, loaded.train, loaded.test) == (0, "dx", ("s01", "s02"), ("s00",))
    assert not loaded.classifier.training


def test_a_trained_encoder_is_that_of_its_fold(run, pretrained):
    save_fold(run / "checkpoints", fitted(0, pretrained), settings())
    with torch.no_grad():
        pretrained.model.encoder.embed.weight.fill_(0.25)
    save_fold(run / "checkpoints", fitted(1, pretrained), settings(encoder="full"))
    loaded, folds = load_folds(run)
    assert [(fold.classifier.autoencoder.encoder.embed.weight == 0.25).all().item() for fold in folds] == [False, True]
    assert not (loaded.model.encoder.embed.weight == 0.25).any()


def test_a_frozen_fold_holds_the_linear_layer_alone(run, pretrained):
    save_fold(run / "checkpoints", fitted(0, pretrained), settings())
    assert (run / "checkpoints" / "fold-0.safetensors").stat().st_size < 1000
    content = json.loads((run / "checkpoints" / "fold-0.json").read_text())
    assert {"kind": "classifier", "encoder": "frozen", "pooling": "connectivity"}.items() <= content.items()
    assert content["connectivity"] == "correlation"


def test_a_low_rank_fold_holds_the_thin_matrices_and_comes_back_merged(run, pretrained):
    config = settings(encoder="lora", lora_rank=2)
    save_fold(run / "checkpoints", fitted(0, pretrained, config), config)
    assert (run / "checkpoints" / "fold-0.safetensors").stat().st_size < 1000 + 4 * 2 * 2 * 48
    loaded, [fold] = load_folds(run)
    assert fold.classifier.autoencoder.state_dict().keys() == loaded.model.state_dict().keys()


def test_a_fold_of_an_earlier_format_is_refused(run, pretrained):
    save_fold(run / "checkpoints", fitted(0, pretrained), settings())
    sidecar = run / "checkpoints" / "fold-0.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "fmrifm_checkpoint": 1}))
    with pytest.raises(CheckpointError, match=r"format 1 of an older fmrifm; this version reads format 3"):
        load_folds(run)


def test_ten_folds_come_back_in_their_order(run, pretrained):
    for number in range(11):
        save_fold(run / "checkpoints", fitted(number, pretrained), settings())
    assert [fold.number for fold in load_folds(run)[1]] == list(range(11))


def test_a_pretraining_run_has_no_classifier_and_says_so(run):
    with pytest.raises(CheckpointError, match=r"no classifier here\. Expected the run folder of `fmrifm finetune`"):
        load_folds(run)
