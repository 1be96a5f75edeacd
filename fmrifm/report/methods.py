"""The methods of attribution as a reader meets them: what each asks, in which unit."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fmrifm.report.figures import short


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to score regions."""

    name: str
    """In a sentence, without a capital letter."""
    unit: str
    """Of the score of a whole region; axis label."""
    meaning: str
    """What a score says, in one sentence."""
    of_label: bool = True
    """Whether it explains the classification; else the reconstruction."""
    tested: bool = True
    """Whether a score may be 0 or below, so that a test against 0 says something."""


_LOG_ODDS = "difference between labels, halved, in log-odds"
_METHODS = {
    "occlusion": Method(
        name="occlusion",
        unit="importance by occlusion (log-odds)",
        meaning="Occlusion is how far silencing a region narrows the classifier's gap between cases and controls, "
        f"region by region ({_LOG_ODDS}).",
    ),
    "integrated_gradients": Method(
        name="integrated gradients",
        unit="integrated gradients (log-odds)",
        meaning="Integrated gradients share the classifier's answer out among the regions, along a straight path from "
        f"an empty scan to the real one ({_LOG_ODDS}).",
    ),
    "gradient_x_input": Method(
        name="gradient x input",
        unit="gradient x input (log-odds)",
        meaning="Gradient x input follows the classifier's slope at the real scan alone: quick, and blind where the "
        f"answer saturates ({_LOG_ODDS}).",
    ),
    "connectome": Method(
        name="connectome",
        unit="importance in the connectome (log-odds)",
        meaning="Connectome is what a linear classifier on correlations between regions draws from those "
        f"of a region; it uses none of the network ({_LOG_ODDS}).",
    ),
    "fidelity": Method(
        name="fidelity",
        unit="R² of the hidden region",
        meaning="Fidelity is the R² of a region's voxels when it is hidden whole and predicted from the others: 1 is "
        "perfect, 0 is no better than each voxel's mean.",
        of_label=False,
    ),
    "contribution": Method(
        name="contribution",
        unit="R² lost by all other regions",
        meaning="Contribution is what all other regions together lose when a region is hidden too (R², summed over "
        "them).",
        of_label=False,
    ),
    "rollout": Method(
        name="rollout",
        unit="share of attention",
        meaning="Rollout is the share of the classifier's attention that reaches a region through all "
        "layers (all shares add up to 1); it knows no label.",
        of_label=False,
        tested=False,
    ),
    "surprise": Method(
        name="surprise",
        unit="surprise (innovation variances)",
        meaning="Surprise is how far a region's frames are from what a predictor of the next frame expected, squared, "
        "over the variance that training left, in a still frame: 1 is as expected.",
        of_label=False,
        tested=False,
    ),
}
"""In reading order: of each kind, first the one that asks the model most directly."""


def method_of(method: str) -> Method:
    """What is known of a method by its name in the tables; a method from elsewhere keeps that name."""
    return _METHODS.get(method) or Method(name=method, unit=f"importance by {short([method])[0]}", meaning="")


def sorted_methods(methods: Iterable[str]) -> list[str]:
    """Sort methods into reading order, unknown ones last."""
    given = list(dict.fromkeys(methods))
    return [method for method in _METHODS if method in given] + [method for method in given if method not in _METHODS]


def featured(methods: Collection[str]) -> list[str]:
    """The methods that are shown at length: the first of those on the classification, and of those on the rest."""
    kinds = {method_of(method).of_label: method for method in reversed(sorted_methods(methods))}
    return [kinds[kind] for kind in (True, False) if kind in kinds]


def title_of(method: str) -> str:
    """Name of a method at the start of a sentence or in a table."""
    name = method_of(method).name
    return name[0].upper() + name[1:] if method in _METHODS else name
