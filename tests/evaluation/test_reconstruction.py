import numpy as np
import pytest
import torch

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.reconstruction import picture, reconstruction_scores
from fmrifm.masking import MASKERS, Masker
from fmrifm.model.draws import draw_tokens
from fmrifm.training.checkpoint import Pretrained

SCANS = ["s00_1", "s00_2", "s01_1", "s02_1", "s07_1"]
SUBJECTS = np.array([key[:3] for key in SCANS])


@pytest.fixture
def windows(store: Store) -> Windows:
    return Windows(store, SCANS, 8)


@pytest.fixture
def masker(pretrained: Pretrained) -> Masker:
    return MASKERS["region"](pretrained.model.tokenizer.pool, 0.5)


def silence_decoder(pretrained: Pretrained) -> None:
    """Make the model predict the temporal mean, 0."""
    torch.nn.init.zeros_(pretrained.model.decoder.output.weight)


def test_a_model_that_predicts_the_temporal_mean_scores_zero(
    pretrained: Pretrained, windows: Windows, masker: Masker
) -> None:
    silence_decoder(pretrained)
    for score in reconstruction_scores(pretrained.model, windows, masker, SUBJECTS, seed=0).values():
        assert (score.value, score.ci_low, score.ci_high, score.n) == (0, 0, 0, 4)


def test_the_scores_are_those_of_all_hidden_voxels_together(
    pretrained: Pretrained, windows: Windows, masker: Masker
) -> None:
    model, generator = pretrained.model, torch.Generator().manual_seed(5)
    left = total = 0.0
    for scan in range(len(windows)):
        batch = [windows[place] for place in windows.cover(scan)]
        signal, covered, tr_s = (torch.stack(parts) for parts in list(zip(*batch, strict=True))[:3])
        hidden = masker(len(batch), generator)
        with torch.no_grad():
            result = model(signal, covered, tr_s, draw_tokens(hidden, generator))
        error, target = (result.prediction - result.target)[result.weight], result.target[result.weight]
        left, total = left + float(error.square().sum()), total + float(target.square().sum())
    score = reconstruction_scores(model, windows, masker, SUBJECTS, seed=5)["r2_voxel"]
    assert score.value == pytest.approx(1 - left / total, abs=1e-5)
    assert score.ci_low <= score.value <= score.ci_high
    assert score.n == 4


def test_the_same_seed_gives_the_same_scores(pretrained: Pretrained, windows: Windows, masker: Masker) -> None:
    first, second, other = (
        reconstruction_scores(pretrained.model, windows, masker, SUBJECTS, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_the_picture_shows_the_scan_and_replaces_only_what_was_hidden(
    pretrained: Pretrained, windows: Windows, masker: Masker
) -> None:
    shown = picture(pretrained.model, windows, masker, pretrained.grid, seed=0)
    pool = pretrained.grid.flatten(shown["hidden"])[pretrained.atlas.labels == 0]
    assert not pool.any()  # what has no region is never hidden
    hidden, original, volume = shown["hidden"], shown["original"], int(shown["volume"])
    expected = windows.store.window("s00_1")[volume] * (pretrained.atlas.labels > 0)
    assert pretrained.grid.flatten(original) == pytest.approx(expected, abs=1e-6)
    assert (shown["reconstructed"][~hidden] == original[~hidden]).all()
    assert (shown["reconstructed"][hidden] != original[hidden]).all()
    assert (shown["affine"] == pretrained.grid.affine).all()


def test_the_picture_hides_whole_regions_and_the_asked_share(
    pretrained: Pretrained, windows: Windows, masker: Masker
) -> None:
    hidden = pretrained.grid.flatten(picture(pretrained.model, windows, masker, pretrained.grid, seed=0)["hidden"])
    labels = pretrained.atlas.labels
    shares = [hidden[labels == value].mean() for value in np.unique(labels[labels > 0])]
    assert set(shares) == {0.0, 1.0}
    assert hidden.sum() == pytest.approx(44, abs=4)


def test_a_silent_decoder_paints_the_temporal_mean(pretrained: Pretrained, windows: Windows, masker: Masker) -> None:
    silence_decoder(pretrained)
    shown = picture(pretrained.model, windows, masker, pretrained.grid, seed=0)
    assert (shown["reconstructed"][shown["hidden"]] == 0).all()
