"""Bring frames to a common scale without looking ahead, and warn of filters that did.

A z-score over a whole scan tells of its future; so does a zero-phase band-pass, after which even white noise can be
predicted (R2 .99): a leak, not skill.

Axes: B scans, T frames, P parcels.
"""

from torch import Tensor

from fmrifm.cerebellum.references import autoregression

FILTERED = 0.9
"""R2 of autoregression at one frame from which data counts as filtered: unfiltered BOLD has about .3 to .6, white noise
band-passed as many releases are .94 to .99."""
_LAGS = 8


def by_training(x: Tensor, train: Tensor) -> Tensor:
    """z-score parcels by the mean and deviation of training scans (B', T', P)."""
    return (x - train.mean(dim=(0, 1))) / train.std(dim=(0, 1)).clamp(min=1e-6)


def by_context(x: Tensor, frames: int) -> Tensor:
    """z-score each scan by its first frames, which are then no targets: (B, T, P) of any unit."""
    mean, deviation = context_scale(x, frames)
    return (x - mean) / deviation


def context_scale(x: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each scan over its first frames: (B, T, P) to (B, 1, P) each."""
    first = x[:, :frames]
    return first.mean(dim=1, keepdim=True), first.std(dim=1, keepdim=True).clamp(min=1e-6)


def predictability(x: Tensor) -> float:
    """R2 of each parcel's autoregression over 8 frames, on the second halves of scans after the first halves."""
    half = x.shape[1] // 2
    x = x - x[:, :half].mean(dim=1, keepdim=True)
    model = autoregression(x[:, :half], _LAGS)
    predicted, actual = model(x[:, half:]).mu[:, _LAGS - 1 : -1], x[:, half + _LAGS :]
    return 1 - float((predicted - actual).square().mean() / actual.square().mean())


def filter_warning(x: Tensor) -> str | None:
    """A sentence where frames look band-passed, else None."""
    found = predictability(x)
    if found <= FILTERED:
        return None
    return (
        f"Filtered data: each parcel's own last {_LAGS} frames predict the next with R2 {found:.2f}, as white noise "
        "does after a zero-phase band-pass, which lets the future into the past. Skill on such scans means nothing; "
        "prepare them without low_pass_hz."
    )


def whole_scan(x: Tensor) -> Tensor:
    """z-score by the whole scan, as masked reconstruction does: it looks ahead, and must not precede a prediction."""
    return (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True).clamp(min=1e-6)
