"""The recurrent pooling: an LSTM over the connectomes of a scan's successive windows.

A connectome has more edges than there are scans, so that the LSTM sees a few principal components of them.

Axes: S scans, n windows of a scan, N tokens, W width, E edges, C components, H hidden units, D = 2 H state numbers.
"""

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fmrifm.model.connectivity import ConnectivityPooling
from fmrifm.model.pooling import Pooling
from fmrifm.model.tokens import Tokenizer

_COMPONENTS, _HIDDEN = 16, 64
_LEAST_VARIANCE = 1e-4
"""Share of the first component's variance below which one is left out: to whiten it would be to amplify rounding."""
_REMEMBERS = 2.0
"""Bias of the forget gates at first: a state fades over some eight frames."""


class Recurrence(nn.Module):
    """An LSTM that is taken forward stretch by stretch.

    Args:
        inputs: Numbers of a frame, F.
        hidden: H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(inputs, hidden)
        # Gates that forget at once learn no label of long ago (Jozefowicz et al. 2015, PMLR 37:2342).
        nn.init.constant_(self.cell.bias_ih[hidden : 2 * hidden], _REMEMBERS)

    def start(self, scans: int) -> Tensor:
        """The state before the first frame, shape (S, D)."""
        return self.cell.weight_hh.new_zeros(scans, 2 * self.cell.hidden_size)

    def step(self, frames: Tensor, state: Tensor, there: Tensor) -> Tensor:
        """Take frames (S, n, F) in: the state (S, D) after them; frames that are not `there` (S, n) pass."""
        for frame, counts in zip(frames.unbind(dim=1), there.unbind(dim=1), strict=True):
            h, c = self.cell(frame, tuple(state.chunk(2, dim=1)))
            state = torch.where(counts[:, None], torch.cat([h, c], dim=1), state)
        return state

    def output(self, state: Tensor) -> Tensor:
        """What others see of the state (S, D), shape (S, H)."""
        return state[:, : self.cell.hidden_size]


class RecurrentPooling(Pooling):
    """The last output of an LSTM that saw the components of one window's connectome after the other.

    Components are those of the training scans' windows, of variance 1, and stay as they were fitted. A window without
    any edge is not there: it does not move the state, and stands behind the last window of a shorter scan.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.window = ConnectivityPooling(tokenizer)
        self.recurrence = Recurrence(_COMPONENTS, _HIDDEN)
        self.size = _HIDDEN
        self.register_buffer("mean", torch.zeros(self.window.size))
        self.register_buffer("components", torch.zeros(_COMPONENTS, self.window.size))

    def summarise(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to the edges of each window, shape (S, n, E)."""
        return self.window(features.flatten(0, 1)[:, None]).unflatten(0, features.shape[:2])

    def collect(self, summaries: list[Tensor]) -> Tensor:
        """Summaries of single scans (1, n, E) as one tensor; shorter scans end in windows that are not there."""
        return pad_sequence([summary[0] for summary in summaries], batch_first=True)

    @torch.no_grad()
    def fit(self, summaries: Tensor) -> None:
        """Find the components of the windows of training scans (S, n, E)."""
        edges = summaries[there(summaries)].double().cpu().numpy()
        found = PCA(min(_COMPONENTS, *edges.shape), svd_solver="randomized", whiten=True, random_state=0).fit(edges)
        variance = found.explained_variance_
        kept = int((variance > _LEAST_VARIANCE * variance[0]).sum())
        self.mean.copy_(torch.from_numpy(found.mean_))
        self.components.zero_()
        whitening = found.components_[:kept] / variance[:kept, None] ** 0.5
        self.components[:kept] = torch.from_numpy(whitening).to(self.mean)

    def embed(self, edges: Tensor) -> Tensor:
        """Edges (..., E) to components (..., C)."""
        return (edges - self.mean) @ self.components.T

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Edges of windows (S, n, E) to the last output (S, H)."""
        start = self.recurrence.start(len(summaries))
        return self.recurrence.output(self.recurrence.step(self.embed(summaries), start, there(summaries)))


def there(frames: Tensor) -> Tensor:
    """True where a scan has the frame: frames (S, n, ...) to (S, n); one that is 0 throughout stands for none."""
    return (frames != 0).flatten(2).any(dim=2)
