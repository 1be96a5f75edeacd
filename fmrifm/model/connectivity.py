"""Second-order pooling: what a connectome sees, on token features.

The region-by-region correlation of token features is summed over every window of a scan and
normalised once. Mean pooling throws it away (prototypes: AUC .69 against .60).

Axes: S scans, n windows of a scan, N = T * K tokens, W width, R regions, E = R * (R - 1) / 2 edges,
D = R * (R + 1) / 2 entries on and above a diagonal.
"""

import torch
from torch import Tensor

from fmrifm.config import Connectivity
from fmrifm.model.pooling import Pooling
from fmrifm.model.spd import exp_matrix, inverse_root, log_matrix
from fmrifm.model.tokens import Tokenizer

_LARGEST_CORRELATION = 0.999
"""Correlations are clipped here before Fisher's z, which is infinite at 1."""
_SHRINKAGE = 0.1
"""Share of the identity in a correlation matrix before its logarithm, so that no eigenvalue is below it."""
_AT_ONCE = 64
"""Scans whose logarithms are in memory at a time."""


class ConnectivityPooling(Pooling):
    """Fisher-z correlation between regions of their mean token features, over channels, patches and windows.

    A region without signal correlates with nothing, not even itself: its edges are 0.
    """

    share: Tensor

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        regions, share = tokenizer.regions, tokenizer.counts.float()
        self.register_buffer("share", share / share.sum(dim=1, keepdim=True), persistent=False)
        self.size = regions * (regions - 1) // 2

    def summarise(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to correlations (S, R, R)."""
        with torch.autocast(features.device.type, enabled=False):  # 16 bits would turn .999 into 1
            chunks = features.float().unflatten(2, (-1, self.share.shape[1]))
            region = torch.einsum("rk,sntkw->srntw", self.share, chunks).flatten(2)
            region = torch.nn.functional.normalize(region, dim=-1)
            return region @ region.mT

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Correlations (S, R, R) to edges (S, E)."""
        row, column = _triangle(summaries, offset=1)
        return torch.atanh(summaries[:, row, column].clamp(-_LARGEST_CORRELATION, _LARGEST_CORRELATION))


class LogEuclideanPooling(ConnectivityPooling):
    """Logarithm of the shrunk correlation matrix: the curved space of such matrices, seen from the identity.

    Matrices are shrunk by a constant, not by Ledoit and Wolf's estimate: that depends on the length of the scan,
    which tells sites apart, and takes channels and neighbouring volumes for independent samples.

    References:
        Arsigny et al. 2006, Log-Euclidean metrics, doi:10.1002/mrm.20965.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self.size = tokenizer.regions * (tokenizer.regions + 1) // 2

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Correlations (S, R, R) to the logarithm's entries (S, D), in row order; diagonal ones over root 2."""
        return _entries(summaries)


class TangentPooling(LogEuclideanPooling):
    """The same seen from the mean of the training scans: log(G^-1/2 C G^-1/2) of each shrunk correlation matrix C.

    G is the log-Euclidean mean: it has a closed form, and a pair of regions is averaged over the scans that cover
    both. For a scan without signal in some regions, C and G are those of the other regions. Without `fit`, G is
    the identity.

    References:
        Varoquaux et al. 2010 (tangent space of connectomes), doi:10.1007/978-3-642-15705-9_25;
        nilearn.connectome.ConnectivityMeasure(kind="tangent"), which takes the geometric mean.
    """

    reference: Tensor

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self.register_buffer("reference", torch.eye(tokenizer.regions))

    @torch.no_grad()
    def fit(self, summaries: Tensor) -> None:
        """Take the mean of training scans (S, R, R) as the reference."""
        total = torch.stack([_logarithm(part).sum(dim=0) for part in summaries.split(_AT_ONCE)]).sum(dim=0)
        scans = _pairs(_covered(summaries)).sum(dim=0)
        self.reference.copy_(exp_matrix(total / scans.clamp(min=1)))

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Correlations (S, R, R) to tangent entries (S, D), in the order of the logarithm's."""
        return _entries(summaries, self.reference)


def _logarithm(correlations: Tensor, reference: Tensor | None = None) -> Tensor:
    """Logarithm of each shrunk matrix (S, R, R), seen from a reference (R, R); 0 where a region is without signal."""
    covered = _covered(correlations)
    identity = torch.eye(correlations.shape[-1], dtype=torch.float64, device=correlations.device)

    def within(matrices: Tensor, regions: Tensor) -> Tensor:
        """Cut the other regions out: they become rows of the identity, whose logarithm is 0."""
        return torch.where(_pairs(regions), matrices, identity)

    shrunk = within((1 - _SHRINKAGE) * correlations.double() + _SHRINKAGE * identity, covered)
    if reference is not None:
        kinds, kind = covered.unique(dim=0, return_inverse=True)
        whitening = inverse_root(within(reference.double(), kinds))[kind]
        shrunk = whitening @ shrunk @ whitening
    return log_matrix(shrunk) * _pairs(covered)  # what rounding leaves of 0


def _covered(correlations: Tensor) -> Tensor:
    """True where a region has signal, shape (S, R)."""
    return correlations.diagonal(dim1=-2, dim2=-1) > 0.5


def _pairs(regions: Tensor) -> Tensor:
    return regions[:, :, None] & regions[:, None, :]


def _triangle(matrices: Tensor, offset: int) -> Tensor:
    """Rows and columns of the entries above the diagonal, or on it too."""
    rows, columns = matrices.shape[-2:]
    return torch.triu_indices(rows, columns, offset, device=matrices.device)


def _entries(correlations: Tensor, reference: Tensor | None = None) -> Tensor:
    """Entries of the logarithm on and above the diagonal; those on it over root 2, which keeps lengths (nilearn)."""
    row, column = _triangle(correlations, offset=0)
    scale = torch.where(row == column, 0.5**0.5, 1.0)
    parts = [_logarithm(part, reference)[:, row, column] * scale for part in correlations.split(_AT_ONCE)]
    return torch.cat(parts).to(correlations.dtype)


CONNECTIVITY: dict[Connectivity, type[ConnectivityPooling]] = {
    "correlation": ConnectivityPooling,
    "tangent": TangentPooling,
    "log_euclidean": LogEuclideanPooling,
}
