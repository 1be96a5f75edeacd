from dataclasses import replace

import numpy as np
import pytest
import torch

from fmrifm.attribution.silence import SilencedScan
from fmrifm.data.store import Store
from fmrifm.training.checkpoint import Pretrained, build_model

REGIONS = (3, 41, 95, 128, 170, 255)


@pytest.mark.parametrize("kind", ["regions", "grid"])
def test_a_silenced_region_is_a_scan_whose_voxels_there_hold_their_mean(
    kind: str, store: Store, pretrained: Pretrained, scan
) -> None:
    model = build_model(store.grid, store.atlas, replace(pretrained.tokens, kind=kind), pretrained.sizes)
    signal, _ = scan
    silenced = SilencedScan(model.tokenizer, signal)
    for heard in np.random.default_rng(0).integers(0, 2, size=(4, 6)):
        gone = np.isin(store.atlas.labels, np.array(REGIONS)[heard == 0])
        expected = model.coefficients(signal[0].masked_fill(torch.from_numpy(gone), 0.0))
        found = silenced.coefficients(torch.from_numpy(heard)[None].float())[0]
        assert torch.allclose(found, expected, atol=1e-6)


def test_copies_stand_side_by_side(pretrained: Pretrained, scan) -> None:
    silenced = SilencedScan(pretrained.model.tokenizer, scan[0])
    heard = torch.tensor([[1.0] * 6, [0.0] * 6, [1.0, 0, 1, 0, 1, 0]])
    copies = silenced.coefficients(heard)
    assert copies.shape[:3] == (3, 4, 2 * len(pretrained.model.tokenizer.region))
    assert torch.equal(copies[0], pretrained.model.coefficients(scan[0][0]))
    assert (copies[1] == 0).all()
