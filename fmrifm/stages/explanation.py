"""What `attribute` explains: scans, folds and judges of a run, read when a method asks for them.

Axes: R regions on the grid.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from fmrifm.attribution import methods
from fmrifm.attribution.cohort import Cohort, Judges, generator_of
from fmrifm.attribution.judges import judges
from fmrifm.attribution.ledger import Ledger
from fmrifm.attribution.methods import RegionScores
from fmrifm.config import AttributeConfig, Method
from fmrifm.data.store import Store
from fmrifm.evaluation.contestants import store_connectomes
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.stages.inputs import long_enough
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold, has_folds, load_folds


@dataclass(frozen=True, eq=False)
class Task:
    """What there is to explain; read when a method asks for it."""

    config: AttributeConfig
    store: Store
    pretrained: Pretrained
    ledger: Ledger

    @cached_property
    def regions(self) -> pd.DataFrame:
        """Regions on the grid, as `pool_regions` gives them."""
        return pool_regions(self.pretrained)

    @cached_property
    def usable(self) -> pd.DataFrame:
        """Scans that hold a window."""
        return long_enough(self.store, self.pretrained.tokens.window_volumes)

    @cached_property
    def everyone(self) -> Cohort:
        """Whom fidelity explains; with the label where a classifier says which one is meant."""
        if not has_folds(Path(self.config.checkpoint)):
            return self._cohort(self.usable)
        return self._cohort(self.usable.assign(label=self.labelled["label"]))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Those that the classifiers were fitted with."""
        return dict(yaml.safe_load((Path(self.config.checkpoint) / "config.yaml").read_text()))

    @cached_property
    def folds(self) -> list[FittedFold]:
        """The fitted classifiers."""
        return load_folds(Path(self.config.checkpoint))[1]

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """What the classifiers learnt from and were tested on."""
        return labelled_scans(self.usable, self.folds[0].target)

    @cached_property
    def tested(self) -> Cohort:
        """Whom the methods of the classifier explain: subjects that one of them never saw."""
        judge: dict[str, int] = {}
        for number, fold in enumerate(self.folds):
            for subject in fold.test:
                judge.setdefault(subject, number)  # of several rounds the first
        scans = self.labelled[self.labelled["subject"].isin(judge)]
        return self._cohort(scans.assign(fold=scans["subject"].map(judge)))

    @cached_property
    def judges(self) -> Judges:
        """Who explains whom, and their spoilt counterparts."""
        number = self.tested.scans["fold"].to_numpy()
        return judges(self.folds, number, self.store, self.labelled, self.settings, self.config.seed)

    def scores(self, method: Method, run: Path) -> list[tuple[Cohort, RegionScores]]:
        """Run one method; contributions.npz is left in the run folder by fidelity."""
        if method == "fidelity":
            return self._fidelity(run)
        cohort, judged, drawn = self.tested, self.judges, self.checked(self.tested)
        if method == "occlusion":
            found = [methods.occlusion(cohort, judged, drawn)]
        elif method == "gradients":
            found = methods.gradients(cohort, judged, drawn, self.config.start)
        elif method == "rollout":
            found = [methods.rollout(cohort, judged, drawn)]
        else:
            made = store_connectomes(self.pretrained, self.store, self.labelled)
            found = [methods.connectome(cohort, judged, made, self.labelled, float(self.settings["penalty"][0]))]
        return [(cohort, one) for one in found]

    def _fidelity(self, run: Path) -> list[tuple[Cohort, RegionScores]]:
        config, cohort = self.config, self.everyone
        scores, given = methods.fidelity(cohort, config.groups, config.deals, self.checked(cohort))
        index = self.regions["index"].to_numpy()
        np.savez(run / "contributions.npz", index=index, contribution=given.matrix, se=given.se)
        return [(cohort, one) for one in scores]

    def checked(self, cohort: Cohort) -> NDArray[np.intp]:
        """Positions of the scans on which the spoilt counterparts are asked too."""
        count = min(self.config.check_scans, len(cohort.scans))
        return np.sort(generator_of(self.config.seed, 5).choice(len(cohort.scans), count, replace=False))

    def _cohort(self, scans: pd.DataFrame) -> Cohort:
        config = self.config
        if config.scans is not None and config.scans < len(scans):
            scans = scans.sample(config.scans, random_state=config.seed).sort_values("scan")
        scans = scans.reset_index(drop=True)
        return Cohort(self.store, self.pretrained, scans, config.windows_per_scan, self.ledger, config.seed)


def pool_regions(pretrained: Pretrained) -> pd.DataFrame:
    """Regions on the grid in the order of the model's region numbers: index, name, system, n_voxels."""
    tokenizer = pretrained.model.tokenizer
    values, voxels = np.unique(tokenizer.region_of_voxel.numpy(), return_counts=True)
    count = voxels[values < tokenizer.regions]
    table = pretrained.atlas.regions.set_index("index").loc[tokenizer.values].reset_index()
    return table[["index", "name", "system"]].assign(n_voxels=count)
