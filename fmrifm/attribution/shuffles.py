"""Labels in random order within sites: what would be found if they meant nothing."""

from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Label = TypeVar("Label", bound=np.generic)


def shuffle_within(label: NDArray[Label], site: pd.Series, rng: np.random.Generator) -> NDArray[Label]:
    """Shuffle labels (S,) among those of the same site."""
    shuffled = label.copy()
    for rows in site.reset_index(drop=True).groupby(site.to_numpy(), sort=True).indices.values():
        shuffled[rows] = rng.permutation(label[rows])
    return shuffled
