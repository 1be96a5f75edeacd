import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest

from fmrifm import config
from fmrifm.config import (
    CompareConfig,
    DataConfig,
    EvaluateConfig,
    FinetuneConfig,
    LossConfig,
    MaskingConfig,
    ModelConfig,
    OptimConfig,
    PrepareConfig,
    PretrainConfig,
    ReportConfig,
    TokensConfig,
)
from fmrifm.errors import ConfigError

PREPARE = {"source": "table", "root": "scans", "out": "store"}
PRETRAIN = {"store": "store", "out": "run"}
COMPARE = {"store": "store", "out": "run"}
FINETUNE = {**PRETRAIN, "checkpoint": "run"}
SETTINGS = [kind for kind in vars(config).values() if is_dataclass(kind)]


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        (PrepareConfig, {**PREPARE, "spacing_mm": 0.5}, "spacing_mm is 0.5; expected a voxel size between 1 and 12 mm"),
        (PrepareConfig, {**PREPARE, "min_coverage": 1.5}, "min_coverage is 1.5"),
        (PrepareConfig, {**PREPARE, "min_volumes": 1}, "min_volumes is 1"),
        (PrepareConfig, {**PREPARE, "jobs": 0}, "jobs is 0"),
        (TokensConfig, {"edge_voxels": 0}, "tokens.edge_voxels is 0"),
        (TokensConfig, {"grow_mm": -1.0}, "tokens.grow_mm is -1.0"),
        (TokensConfig, {"patch_volumes": 7}, "tokens.patch_volumes is 7; expected a divisor of the window, 24"),
        (TokensConfig, {"patch_volumes": 0}, "tokens.patch_volumes is 0"),
        (MaskingConfig, {"ratio": 0.0}, "masking.ratio is 0.0; expected a share between 0 and 1"),
        (MaskingConfig, {"ratio": 1.0}, "masking.ratio is 1.0"),
        (MaskingConfig, {"mix": {"magic": 1.0}}, "masking.mix is {'magic': 1.0}; expected weights of random, tube"),
        (MaskingConfig, {"mix": {"mix": 1.0}}, "masking.mix is {'mix': 1.0}"),
        (MaskingConfig, {"mix": {}}, "masking.mix is {}; expected a positive weight for at least one strategy"),
        (MaskingConfig, {"mix": {"tube": 0.0}}, "masking.mix is {'tube': 0.0}; expected a positive weight"),
        (ModelConfig, {"width": 100}, "model.heads is 6; expected a divisor of 100"),
        (ModelConfig, {"heads": 0}, "model.heads is 0"),
        (ModelConfig, {"layers": 0}, "model.layers is 0"),
        (ModelConfig, {"queries": 0}, "model.queries is 0"),
        (ModelConfig, {"decoder_width": 0}, "model.decoder_width is 0; expected a positive multiple of model.heads, 6"),
        (ModelConfig, {"decoder_width": 20}, "model.decoder_width is 20"),
        (ModelConfig, {"components": -1}, "model.components is -1"),
        (LossConfig, {"region": -0.5}, "loss.region is -0.5; expected 0 or a positive weight"),
        (LossConfig, {"connectivity": float("inf")}, "loss.connectivity is inf"),
        (LossConfig, {"voxel": 0.0}, "loss is {'voxel': 0.0, 'region': 0.0, 'connectivity': 0.0}; expected at least"),
        (OptimConfig, {"lr": 0.0}, "optim.lr is 0.0"),
        (OptimConfig, {"warmup": 1.0}, "optim.warmup is 1.0"),
        (OptimConfig, {"batch_size": 0}, "optim.batch_size is 0"),
        (DataConfig, {"windows_per_scan": 0}, "data.windows_per_scan is 0; expected at least 1 window"),
        (DataConfig, {"workers": -1}, "data.workers is -1; expected 0 or more processes"),
        (PretrainConfig, {**PRETRAIN, "validation": 1.0}, "validation is 1.0"),
        (FinetuneConfig, {**FINETUNE, "folds": 1}, "folds is 1"),
        (
            FinetuneConfig,
            {**FINETUNE, "penalty": (1.0, 0.0)},
            "penalty is [1.0, 0.0]; expected one or more positive",
        ),
        (FinetuneConfig, {**FINETUNE, "penalty": ()}, "penalty is []; expected one or more positive strengths"),
        (FinetuneConfig, {**FINETUNE, "repeats": 0}, "repeats is 0; expected at least 1 round"),
        (FinetuneConfig, {**FINETUNE, "inner_folds": 1}, "inner_folds is 1; expected at least 2 folds"),
        (FinetuneConfig, {**FINETUNE, "patience": 0}, "patience is 0; expected at least 1"),
        (EvaluateConfig, {**FINETUNE, "encoder": "full", "harmonise": "combat"}, "harmonise is combat; expected none"),
        (EvaluateConfig, {**FINETUNE, "permutations": -1}, "permutations is -1; expected 0 or more shuffles"),
        (
            CompareConfig,
            {**COMPARE, "maskers": ("tube", "tube")},
            "maskers is ['tube', 'tube']; expected at least two",
        ),
        (CompareConfig, {**COMPARE, "pooling": "attention"}, "pooling is attention; expected connectivity or mean"),
        (CompareConfig, {**COMPARE, "shard": "4/3"}, "shard is 4/3; expected PART/PARTS, e.g. 3/20"),
        (
            CompareConfig,
            {**COMPARE, "factors": {"masking.ratio": 0.5}},
            "factors is {'masking.ratio': 0.5}; expected lists of values",
        ),
        (CompareConfig, {**COMPARE, "steps": 0}, "steps is 0; expected at least 1 update"),
        (FinetuneConfig, {**FINETUNE, "lora_rank": 0}, "lora_rank is 0; expected at least 1"),
        (FinetuneConfig, {**FINETUNE, "epochs": 0}, "epochs is 0; expected at least 1"),
        (FinetuneConfig, {**FINETUNE, "lr": 0.0}, "lr is 0.0; expected a positive learning rate, or none"),
        (ReportConfig, {"out": "a.html"}, "what to report on is not given; expected either --run or --store"),
        (ReportConfig, {"out": "a.html", "run": ("a",), "store": "b"}, "what to report on is run and store"),
    ],
)
def test_what_cannot_work_is_refused_with_its_name_and_value(kind: type, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**wrong)
    assert said in str(error.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        MaskingConfig().ratio = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_says_what_it_means(kind: type) -> None:
    assert kind.__doc__
    source = inspect.getsource(kind)
    for field in fields(kind):
        if field.name in kind.__annotations__ and not is_dataclass(field.type):
            declared = source.index(f"    {field.name}: ")
            following = source[declared:].splitlines()[1]
            assert following.startswith('    """'), f"{kind.__name__}.{field.name}"
