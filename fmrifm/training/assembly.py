"""What pretraining needs, built from its settings: the module with model and masker, and its windows."""

from collections.abc import Sequence
from functools import partial

from fmrifm.config import PretrainConfig
from fmrifm.data.store import Store
from fmrifm.masking import masker_for
from fmrifm.training.checkpoint import build_model
from fmrifm.training.datamodule import PretrainData
from fmrifm.training.modules import PretrainModule


def assemble(
    store: Store, config: PretrainConfig, train: Sequence[str], validation: Sequence[str]
) -> tuple[PretrainModule, PretrainData]:
    """Build module and data; the weights are drawn from PyTorch's global generator.

    Args:
        store: Where the scans are.
        config: Settings of the pretraining.
        train: Keys of scans to train on.
        validation: Keys of held-out scans.
    """
    model = build_model(store.grid, store.atlas, config.tokens, config.model, config.objective)
    if "mask" not in config.objective:
        model.decoder.requires_grad_(False)  # DDP refuses weights that wait for a gradient in vain
    module = PretrainModule(
        model,
        partial(masker_for, config=config.masking),
        config.optim,
        loss=config.loss,
        objective=config.objective,
        next_weight=config.next_weight,
        queries=config.model.queries,
        seed=config.seed,
    )
    data = PretrainData(
        store,
        train,
        validation,
        config.data,
        volumes=config.tokens.window_volumes,
        batch_size=config.optim.batch_size,
        seed=config.seed,
    )
    return module, data
