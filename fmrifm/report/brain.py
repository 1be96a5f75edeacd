"""Brains of the report: what was reconstructed, and which regions mattered.

Axes: X, Y, Z voxels of the box, RAS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from nilearn.datasets import load_mni152_template
from nilearn.image import load_img, resample_to_img
from nilearn.plotting import plot_stat_map
from numpy.typing import NDArray

from fmrifm.errors import DataError
from fmrifm.report.content import Picture, number
from fmrifm.report.scales import DIVERGING, colour_bar, limit_of
from fmrifm.report.svg import INK, STYLE, WIDTH, picture

_PLANES = ("x", "y", "z")
_CUTS = 4
_BRAIN_ABOVE = 0.15
"""Brightness of the MNI template, from 0 to 1, that counts as brain."""
Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Scene:
    """What all slices of a figure share: the grey brain, its voxel sizes and the colour scale."""

    grey: Volume
    affine: NDArray[np.float64]
    limit: float

    def position_mm(self, axis: int, cut: int) -> float:
        return float(self.affine[axis, axis] * cut + self.affine[axis, 3])

    def draw(self, axes: Axes, volume: Volume, axis: int, cut: int) -> None:
        across, up = np.delete(nib.affines.voxel_sizes(self.affine), axis)
        options: dict[str, Any] = {"origin": "lower", "aspect": up / across, "interpolation": "none"}
        axes.imshow(self.grey.take(cut, axis=axis).T, cmap="gray", vmin=-0.6, vmax=1.1, **options)
        axes.imshow(volume.take(cut, axis=axis).T, cmap=DIVERGING, vmin=-self.limit, vmax=self.limit, **options)
        brain = np.argwhere(np.isfinite(self.grey))
        (left, bottom), (right, top) = (np.delete(edge(brain, axis=0), axis) for edge in (np.min, np.max))
        axes.set(xlim=(left - 1, right + 1), ylim=(bottom - 1, top + 1))
        axes.set_axis_off()


@matplotlib.rc_context(STYLE)
def reconstruction(path: Path) -> Picture:
    """Draw one held-out volume: whole, as the encoder saw it, and as the decoder filled it in.

    Args:
        path: An npz with original, reconstructed (X, Y, Z, z-scored), hidden (X, Y, Z, bool) and affine.

    Raises:
        DataError: An array is missing, or the volume is empty.
    """
    original, reconstructed, hidden, affine = _arrays(path)
    brain = original != 0
    hidden = hidden.astype(bool) & brain
    rows = {
        "original": np.where(brain, original, np.nan),
        "visible": np.where(brain & ~hidden, original, np.nan),
        "predicted": np.where(hidden, reconstructed, np.nan),
    }
    scene = _Scene(_grey(affine, brain), affine, limit=float(np.percentile(np.abs(original[brain]), 98)))
    fit = _fit(original[hidden], reconstructed[hidden])
    return picture(
        _slices(rows, scene, [_telling_cut(hidden, brain & ~hidden, axis) for axis in range(3)]),
        alt=f"Three rows of brain slices from one held-out volume: original, visible part, predicted part. {fit}",
        caption=f"One volume of a held-out scan. Top: original. Middle: the {hidden.sum() / brain.sum():.0%} hidden is "
        f"grey. Bottom: the model's prediction of what was hidden; the rest is grey. {fit}",
        wide=True,
    )


@matplotlib.rc_context(STYLE)
def importance_map(path: Path, unit: str, caption: str) -> Picture:
    """Draw a map of importance on the MNI template; weak values fade into the grey brain.

    Args:
        path: NIfTI image in MNI space, shape (X, Y, Z).
        unit: Label of the colour scale.
        caption: What the figure shows.
    """
    image = load_img(path)
    values = np.abs(np.nan_to_num(image.get_fdata()))
    limit = limit_of(values)
    strength = nib.Nifti1Image(values, image.affine) if values.any() else None
    figure = Figure(figsize=(WIDTH, 4.0))
    for row, plane in enumerate(_PLANES):
        display = plot_stat_map(
            image,
            display_mode=plane,
            cut_coords=_CUTS,
            figure=figure,
            axes=(0, 0.76 - 0.275 * row, 1, 0.22),
            colorbar=False,
            annotate=False,
            cmap=DIVERGING,
            vmin=-limit,
            vmax=limit,
            transparency=strength,
            transparency_range=[0, limit],  # nilearn writes into it
        )
        display.annotate(positions=False, size=7)
        for position, cut in display.axes.items():
            label = f"{plane} = {number(position, 0)} mm"
            cut.ax.text(0.5, -0.03, label, ha="center", va="top", size=7.5, transform=cut.ax.transAxes)
    for text in figure.findobj(Text):
        text.set(color=INK, bbox=None)
    colour_bar(figure, limit, unit)
    return picture(
        figure, alt=f"Brain slices coloured by {unit}, from −{limit:.2g} to {limit:.2g}.", caption=caption, wide=True
    )


def _arrays(path: Path) -> tuple[Volume, Volume, NDArray[np.bool_], NDArray[np.float64]]:
    names = ("original", "reconstructed", "hidden", "affine")
    with np.load(path) as arrays:
        if absent := set(names) - set(arrays):
            raise DataError(f"{path}: arrays {sorted(arrays)}; expected also {sorted(absent)}. Run pretrain again.")
        original, reconstructed, hidden, affine = (arrays[name] for name in names)
    if not original.any():
        raise DataError(f"{path}: the volume is 0 everywhere; expected signal inside the brain. Run pretrain again.")
    return original, reconstructed, hidden, affine


def _slices(rows: Mapping[str, Volume], scene: _Scene, cuts: Sequence[int]) -> Figure:
    figure = Figure(figsize=(WIDTH, 4.1))
    for row, (name, volume) in enumerate(rows.items()):
        for axis, cut in enumerate(cuts):
            axes = figure.add_axes((0.06 + axis * 0.32, 0.7 - row * 0.265, 0.3, 0.25))
            scene.draw(axes, volume, axis, cut)
            if row == 0:
                axes.set_title(f"{_PLANES[axis]} = {number(scene.position_mm(axis, cut), 0)} mm", loc="center")
            if axis == 0:
                axes.text(-0.06, 0.5, name, rotation=90, ha="right", va="center", transform=axes.transAxes)
    colour_bar(figure, scene.limit, "BOLD signal, z-scored per voxel over time (standard deviations)")
    return figure


def _telling_cut(hidden: NDArray[np.bool_], visible: NDArray[np.bool_], axis: int) -> int:
    """The slice that holds most of both: hidden voxels and visible ones."""
    others = tuple(other for other in range(3) if other != axis)
    return int(np.argmax(hidden.sum(axis=others) * (1 + visible.sum(axis=others))))


def _grey(affine: NDArray[np.float64], brain: NDArray[np.bool_]) -> Volume:
    """The MNI template on the grid; NaN outside the brain."""
    box = nib.Nifti1Image(np.zeros(brain.shape, np.uint8), affine)
    template = resample_to_img(
        load_mni152_template(resolution=2), box, interpolation="linear", force_resample=True, copy_header=True
    )
    values = np.asarray(template.dataobj, dtype=np.float32)
    return np.where((values > _BRAIN_ABOVE) | brain, values, np.nan)


def _fit(original: Volume, reconstructed: Volume) -> str:
    if len(original) < 2 or not original.std() or not reconstructed.std():
        return ""
    r2 = 1 - np.square(original - reconstructed).sum() / np.square(original).sum()
    r = np.corrcoef(original, reconstructed)[0, 1]
    return f"Over the hidden voxels of this volume: r = {number(r)}, R² = {number(r2)} against predicting 0."
