"""Chunks: compact sets of voxels; the spatial part of a token.

A region is bisected along its longest axis until each part has at most p^3 voxels. Every
chunk then lies inside one region, and every region with a voxel owns a chunk. Cubic patches,
to compare with what others do, tile the same voxels and may each hold several regions.

Axes: V brain voxels; K chunks; P voxels of the largest chunk (padded); M coefficients of a chunk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEGREE_TERMS = 10
"""Polynomials up to degree two in three variables: 1, x, y, z, x2, y2, z2, xy, xz, yz."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """How the pool's voxels are tiled.

    Args:
        voxel: Voxel of each place in a chunk, shape (K, P), 0 where padded.
        valid: True where the place holds a voxel, shape (K, P).
        label: Atlas value of each place in a chunk, shape (K, P), 0 where padded.
        centre_mm: Mean position of each chunk's voxels, shape (K, 3).
        basis: Orthonormal quadratic polynomials over each chunk's voxels, shape (K, P, M); 0 where padded
            or where the chunk has too few voxels for a term.
    """

    voxel: NDArray[np.int64]
    valid: NDArray[np.bool_]
    label: NDArray[np.int64]
    centre_mm: NDArray[np.float32]
    basis: NDArray[np.float32]


def cut_chunks(labels_V: NDArray[np.integer], coordinates_mm: NDArray[np.floating], max_voxels: int) -> Chunks:
    """Cut every labelled region into compact chunks.

    Args:
        labels_V: Atlas value of each brain voxel, 0 = not in the pool.
        coordinates_mm: Positions of the brain voxels, shape (V, 3).
        max_voxels: Most voxels in a chunk, p^3.

    Returns:
        The chunks, ordered by atlas value.
    """
    members: list[NDArray[np.int64]] = []
    for label in np.unique(labels_V[labels_V > 0]):
        members += _bisect(np.flatnonzero(labels_V == label), coordinates_mm, max_voxels)
    return _describe(members, labels_V, coordinates_mm)


def cut_patches(
    labels_V: NDArray[np.integer], voxels: NDArray[np.integer], coordinates_mm: NDArray[np.floating], edge: int
) -> Chunks:
    """Cut the box into cubes, and take the labelled voxels of each that has some.

    Args:
        labels_V: Atlas value of each brain voxel, 0 = not in the pool.
        voxels: Indices of the brain voxels in the box, shape (V, 3).
        coordinates_mm: Their positions, same shape.
        edge: Voxels along an edge of a cube, p.

    Returns:
        The patches, in C order of the box.
    """
    pool = np.flatnonzero(labels_V)
    _, patch = np.unique(voxels[pool] // edge, axis=0, return_inverse=True)
    by_patch = np.argsort(patch, kind="stable")
    ends = np.bincount(patch).cumsum()[:-1]
    return _describe(np.split(pool[by_patch], ends), labels_V, coordinates_mm)


def _describe(
    members: list[NDArray[np.int64]], labels_V: NDArray[np.integer], coordinates_mm: NDArray[np.floating]
) -> Chunks:
    """Lay the voxels of each chunk side by side, and find its centre and basis."""
    valid = np.arange(max(map(len, members)))[None, :] < np.array([len(chunk) for chunk in members])[:, None]
    voxel = np.zeros(valid.shape, np.int64)
    voxel[valid] = np.concatenate(members)
    centre = np.stack([coordinates_mm[chunk].mean(axis=0) for chunk in members])
    return Chunks(
        voxel=voxel,
        valid=valid,
        label=np.where(valid, labels_V[voxel], 0).astype(np.int64),
        centre_mm=centre.astype(np.float32),
        basis=_orthonormal_quadratics(coordinates_mm[voxel] - centre[:, None], valid),
    )


def _bisect(chunk: NDArray[np.int64], coordinates_mm: NDArray[np.floating], max_voxels: int) -> list[NDArray[np.int64]]:
    """Split along the longest axis until every part is small enough, in as few parts as possible."""
    parts = -(-len(chunk) // max_voxels)
    if parts == 1:
        return [chunk]
    places = coordinates_mm[chunk]
    longest = np.ptp(places, axis=0).argmax()
    ordered = chunk[np.argsort(places[:, longest], kind="stable")]
    cut = round(len(chunk) * (parts // 2) / parts)
    return _bisect(ordered[:cut], coordinates_mm, max_voxels) + _bisect(ordered[cut:], coordinates_mm, max_voxels)


def _orthonormal_quadratics(offsets_mm: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Gram-Schmidt of 1, x, y, z, x2, ... on each chunk, so that the mean square over its voxels is 1.

    The first coefficient of a chunk is then its mean, whatever its size, and projecting a chunk
    on the basis and back is the least-squares quadratic fit.
    """
    x, y, z = np.moveaxis(offsets_mm / (np.abs(offsets_mm).max() or 1.0), -1, 0)
    terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=-1)
    terms *= valid[..., None]
    count = valid.sum(axis=1)[:, None]
    basis = np.zeros_like(terms)
    for term in range(DEGREE_TERMS):
        rest = terms[..., term]
        for _ in range(2):  # the second pass removes what rounding left of the first
            rest = rest - np.einsum("kpm,km->kp", basis, np.einsum("kpm,kp->km", basis, rest) / count)
        norm = np.sqrt((rest**2).sum(axis=1, keepdims=True) / count)
        independent = norm > 1e-4
        basis[..., term] = np.where(independent, rest / np.where(independent, norm, 1.0), 0.0)
    return basis.astype(np.float32)
