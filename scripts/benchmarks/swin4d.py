"""A 4D Swin transformer of SwiFT's size, as a rival in `step.py`.

After Kim et al. 2023, SwiFT: Swin 4D fMRI Transformer, NeurIPS, arXiv:2307.05916: patches of 6 x 6 x 6 voxels of
one volume, widths 36, 72, 144, 288, depths 2, 2, 6, 2, heads 3, 6, 12, 24, windows of 4 x 4 x 4 x 4 shifted by
half in every other block, places added to the tokens at each stage, whole space and no shift in the last stage.
Left out: dropout, padding (sizes have to divide) and its contrastive losses; like SwiFT it has no relative
position bias. The loss is the mean of a linear map of the pooled features.

Axes: B windows, x, y, z tokens in space, t volumes, C channels, n windows of attention, N tokens in one.
"""

from collections.abc import Callable, Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

DEPTHS, HEADS = (2, 2, 6, 2), (3, 6, 12, 24)
EMBED, PATCH, WINDOW = 36, 6, 4

_CUT = "b (x p) (y q) (z r) (t s) c -> (b x y z t) (p q r s) c"


class Swin4D(nn.Module):
    """Four stages, each at half the resolution of the one before; time keeps its own.

    Args:
        edge: Voxels along x, y and z.
        volumes: Volumes in a window.
        fused: Attention as one operation, faster than SwiFT's own code, which keeps its matrix.
    """

    def __init__(self, edge: int, volumes: int, *, fused: bool) -> None:
        super().__init__()
        self.tokens = (edge // PATCH) ** 3 * volumes
        self.embed = nn.Linear(PATCH**3, EMBED)
        self.stages = nn.ModuleList()
        for stage, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
            last = stage == len(DEPTHS) - 1
            size = (*3 * [edge // PATCH // 2**stage], volumes)
            attend = scaled_dot_product_attention if fused else attention
            self.stages.append(Stage(EMBED * 2**stage, size, depth, heads, attend, last=last))
        self.head = nn.Linear(EMBED * 2 ** (len(DEPTHS) - 1), 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Windows (B, t, X, Y, Z) to a score each, (B,)."""
        patches = rearrange(signal, "b t (x p) (y q) (z r) -> b x y z t (p q r)", p=PATCH, q=PATCH, r=PATCH)
        x = self.embed(patches)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.flatten(1, 4).mean(dim=1))[:, 0]


def attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None) -> Tensor:
    """Attention as SwiFT computes it, with its matrix."""
    logits = (q * q.shape[-1] ** -0.5) @ k.mT
    return (logits if attn_mask is None else logits + attn_mask).softmax(dim=-1) @ v


class Stage(nn.Module):
    """Places, blocks, and but for the last stage the merging of 2 x 2 x 2 tokens into one of twice the width."""

    def __init__(
        self, width: int, size: Sequence[int], depth: int, heads: int, attend: Callable[..., Tensor], *, last: bool
    ) -> None:
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(*size[:3], 1, width))
        self.time = nn.Parameter(0.02 * torch.randn(size[3], width))
        window = [min(WINDOW, length) for length in size]
        shift = [WINDOW // 2 if length > WINDOW else 0 for length in size]
        self.blocks = nn.ModuleList(
            [Block(width, size, heads, window, shift if odd % 2 and not last else None, attend) for odd in range(depth)]
        )
        self.norm = None if last else nn.LayerNorm(8 * width)
        self.merge = None if last else nn.Linear(8 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, x, y, z, t, C)."""
        x = x + self.place + self.time
        for block in self.blocks:
            x = block(x)
        if self.norm is None or self.merge is None:
            return x
        eight = rearrange(x, "b (x p) (y q) (z r) t c -> b x y z t (p q r c)", p=2, q=2, r=2)
        return self.merge(self.norm(eight))


class Block(nn.Module):
    """Attention inside windows, which may be shifted, then an MLP."""

    mask: Tensor | None

    def __init__(
        self, width: int, size: Sequence[int], heads: int, window: Sequence[int], shift: Sequence[int] | None,
        attend: Callable[..., Tensor],
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.shift, self.attend = heads, shift, attend
        self.cut = dict(zip("pqrs", window, strict=True))
        self.grid = dict(zip("xyzt", (length // w for length, w in zip(size, window, strict=True)), strict=True))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.register_buffer("mask", None if shift is None else self._mask(size, window, shift))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, x, y, z, t, C)."""
        axes = (1, 2, 3, 4)
        y = self.norm1(x)
        if self.shift is not None:
            y = y.roll([-s for s in self.shift], axes)
        y = rearrange(self._attend(rearrange(y, _CUT, **self.cut)), " -> ".join(_CUT.split(" -> ")[::-1]),
                      **self.cut, **self.grid)  # fmt: skip
        if self.shift is not None:
            y = y.roll(list(self.shift), axes)
        x = x + y
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        """Attention within each window: (B * n, N, C)."""
        q, k, v = rearrange(self.qkv(x), "n l (three h c) -> three n h l c", three=3, h=self.heads)
        mask = None if self.mask is None else self.mask.to(q.dtype).repeat(len(x) // len(self.mask), 1, 1)[:, None]
        mixed = self.attend(q, k, v, attn_mask=mask)
        return self.proj(rearrange(mixed, "n h l c -> n l (h c)"))

    def _mask(self, size: Sequence[int], window: Sequence[int], shift: Sequence[int]) -> Tensor:
        """-100 between tokens that a shift brought together from opposite ends, shape (n, N, N)."""
        part = torch.zeros(1, *size, 1)
        for axis, (length, w, s) in enumerate(zip(size, window, shift, strict=True)):
            place = torch.arange(length)
            kind = (place >= length - w).int() + (place >= length - s).int() if s else torch.zeros(length)
            part = 3 * part + kind.view([-1 if other == axis + 1 else 1 for other in range(6)])
        cut = rearrange(part, _CUT, **self.cut)[..., 0]
        return -100.0 * (cut[:, :, None] != cut[:, None]).float()
