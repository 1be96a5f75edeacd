"""What `step.py` lets compete: training steps (forward, backward, AdamW) of our model and of others, and a matmul.

Axes: B windows, t volumes, V voxels, N tokens.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pandas as pd
import torch
import torch._dynamo  # optimisers import it at their first step, which would count as memory of the step
from einops import rearrange
from monai.networks.nets import MaskedAutoEncoderViT
from swin4d import Swin4D
from torch import Tensor, nn
from turns import Work

from fmrifm.atlas import Atlas, load_atlas
from fmrifm.config import AtlasConfig, ModelConfig, TokensConfig
from fmrifm.data.grid import Grid, mni_grid
from fmrifm.model.draws import Draw, draw_tokens
from fmrifm.model.losses import masked_mse
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.training.checkpoint import build_model

HIDDEN = 0.75
EDGE = 3
"""Voxels along an edge of a dense patch, and the p of a chunk."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What competes; the defaults are those of the benchmark, a test takes smaller ones."""

    spacing_mm: float = 4.0
    volumes: int = 20
    """Volumes of a window in the race, one time patch."""
    width: int = 384
    layers: int = 8
    heads: int = 6
    decoder_width: int = 192
    decoder_layers: int = 2
    swin_edge: int = 96
    """Voxels along each axis of the 4D Swin's box."""
    visible: tuple[int, ...] = (256, 1024, 4096)
    """Visible tokens of the growth table."""
    matmul: int = 2048
    """Rows and columns of the matrices whose product gives the device's rate."""
    recipe: ModelConfig = field(default_factory=ModelConfig)
    """The model that feeding and growth are measured with."""
    recipe_tokens: TokensConfig = field(default_factory=TokensConfig)
    atlas: str | None = None
    """AAL3 image; none takes the approximation."""

    @property
    def box(self) -> tuple[int, int, int]:
        """The grid's box, padded to whole patches."""
        x, y, z = (-(-edge // EDGE) * EDGE for edge in mni_grid(self.spacing_mm).shape)
        return x, y, z

    @property
    def race(self) -> ModelConfig:
        """Our model in the race."""
        names = ("width", "layers", "heads", "decoder_width", "decoder_layers")
        return replace(self.recipe, **{name: getattr(self, name) for name in names})


def ours(device: torch.device, sizes: Sizes, precision: str, queries: int | None) -> Work:
    """Our model at the size of its rivals, on the brain's tokens."""
    tokens = TokensConfig(window_volumes=sizes.volumes, patch_volumes=sizes.volumes)
    model = build_model(*brain(sizes), tokens, sizes.race)
    return _training(model.to(device), precision, windows=1, queries=queries)


def everything(device: torch.device, sizes: Sizes) -> Work:
    """Our model with nothing left out: cubes over the whole box, and hidden ones in the encoder, too."""
    grid = mni_grid(sizes.spacing_mm)
    box = Grid(affine=grid.affine, mask=np.ones(sizes.box, bool))
    regions = pd.DataFrame({"index": [1], "name": ["box"], "system": ["box"]})
    atlas = Atlas(labels=np.ones(box.mask.size, np.int32), regions=regions, origin="a benchmark")
    tokens = TokensConfig(window_volumes=sizes.volumes, patch_volumes=sizes.volumes, kind="grid", grow_mm=0)
    model = build_model(box, atlas, tokens, sizes.race).to(device)
    return _training(model, "float32", windows=1, queries=None, visible=_count(model))


def grown(device: torch.device, sizes: Sizes, visible: int) -> Work:
    """The recipe's model with so many visible tokens, of chunks small enough to have them."""
    model = build_model(*brain(sizes), replace(sizes.recipe_tokens, edge_voxels=EDGE - 1), sizes.recipe)
    return _training(model.to(device), "float32", windows=1, queries=sizes.recipe.queries, visible=visible)


def recipe(device: torch.device, sizes: Sizes, windows: int, precision: str) -> Work:
    """The default recipe's step."""
    model = build_model(*brain(sizes), sizes.recipe_tokens, sizes.recipe)
    return _training(model.to(device), precision, windows=windows, queries=sizes.recipe.queries)


def monai(device: torch.device, sizes: Sizes, precision: str) -> Work:
    """MONAI's masked autoencoder on the dense box, volumes as channels.

    In bfloat16 the whole network is: under autocast it stops, because it puts bfloat16 values into a float32 tensor.
    """
    kind = getattr(torch, precision)
    warnings.filterwarnings("ignore", ".*meshgrid")
    model = MaskedAutoEncoderViT(
        sizes.volumes, sizes.box, EDGE, sizes.width, 4 * sizes.width, sizes.layers, sizes.heads, HIDDEN,
        sizes.decoder_width, 4 * sizes.decoder_width, sizes.decoder_layers, sizes.heads,
    ).to(device, kind)  # fmt: skip
    signal = torch.randn(1, sizes.volumes, *sizes.box, device=device, dtype=kind)
    target = rearrange(signal, "b t (x p) (y q) (z r) -> b (x y z) (p q r t)", p=EDGE, q=EDGE, r=EDGE)

    def loss() -> Tensor:
        prediction, hidden = model(signal)
        error = (prediction - target).float().square().mean(dim=-1)
        return (error * hidden).sum() / hidden.sum()

    return Work(_stepper(model, loss), tokens=target.shape[1], parameters=_parameters(model))


def swin(device: torch.device, sizes: Sizes, fused: bool) -> Work:
    """A 4D Swin of SwiFT's size."""
    model = Swin4D(sizes.swin_edge, sizes.volumes, fused=fused).to(device)
    signal = torch.randn(1, sizes.volumes, *3 * [sizes.swin_edge], device=device)
    step = _stepper(model, lambda: model(signal).square().mean())
    return Work(step, tokens=model.tokens, parameters=_parameters(model))


def matmul(device: torch.device, sizes: Sizes, precision: str) -> Work:
    """A matrix product, whose operations a second are the device's rate."""
    one, other = torch.randn(2, sizes.matmul, sizes.matmul, device=device, dtype=getattr(torch, precision))
    return Work(lambda: one @ other)


def _training(
    model: MaskedAutoencoder, precision: str, *, windows: int, queries: int | None, visible: int | None = None
) -> Work:
    tokenizer, device = model.tokenizer, next(model.parameters()).device
    signal = torch.randn(windows, tokenizer.window, tokenizer.voxels, device=device)
    covered = torch.ones(windows, tokenizer.voxels, dtype=torch.bool, device=device)
    tr_s = torch.full((windows,), 2.0, device=device)
    generator = torch.Generator(device).manual_seed(0)

    def loss() -> Tensor:
        drawn = _draw(_count(model), windows, queries, visible, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            result = model(signal, covered, tr_s, drawn)
        return masked_mse(result.prediction.float(), result.target, result.weight)

    return Work(_stepper(model, loss), windows, _count(model), _parameters(model))


def _draw(tokens: int, windows: int, queries: int | None, visible: int | None, generator: torch.Generator) -> Draw:
    """Hide three quarters at random; or show so many tokens and ask for others, or where there are none for any."""
    order = torch.rand(windows, tokens, generator=generator, device=generator.device).argsort(dim=1)
    drawn = draw_tokens(order < HIDDEN * tokens, generator, queries)
    return drawn if visible is None else Draw(order[:, :visible], order.flip(1)[:, : drawn.query.shape[1]])


def _stepper(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


@cache
def brain(sizes: Sizes) -> tuple[Grid, Atlas]:
    """The MNI grid and the regions on it."""
    grid = mni_grid(sizes.spacing_mm)
    config = AtlasConfig(path=sizes.atlas, approximation=sizes.atlas is None)
    return grid, load_atlas(config, grid.image(np.ones(len(grid.voxels), np.uint8)))


def _count(model: MaskedAutoencoder) -> int:
    return model.tokenizer.patches * len(model.tokenizer.basis)


def _parameters(model: nn.Module) -> int:
    return sum(part.numel() for part in model.parameters())
