import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Trainer

from fmrifm.atlas import Atlas
from fmrifm.config import InfoConfig, ReportConfig
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError
from fmrifm.recipes import SETTINGS, build_parser, fill, parse, read_recipe
from fmrifm.resources import resource
from fmrifm.stages.folder import run_folder
from fmrifm.training.checkpoint import build_model

RECIPES = sorted(resource("pipelines").glob("*.yaml"))
SECTIONS = [(recipe.stem, section) for recipe in RECIPES for section in yaml.safe_load(recipe.read_text())]
NEEDED = {
    "demo": ["--out", "demo"],
    "prepare": ["--source", "table", "--root", "scans", "--out", "store"],
    "pretrain": ["--store", "store", "--out", "run"],
    "finetune": ["--store", "store", "--checkpoint", "before", "--out", "run"],
    "evaluate": ["--store", "store", "--checkpoint", "before", "--out", "run"],
    "compare": ["--store", "store", "--out", "run"],
    "attribute": ["--store", "store", "--checkpoint", "before", "--out", "run"],
    "embed": ["--checkpoint", "run", "--scans", "scan.nii.gz", "--out", "embeddings.parquet"],
    "predict": ["--store", "store", "--checkpoint", "before", "--out", "run"],
    "cerebellum": ["control", "--out", "run"],
    "report": ["--run", "run", "--out", "report.html"],
    "info": ["store"],
}
"""The least that each command takes."""


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("pretrain: {masking: {kind: tube}, seed: 5}\nfinetune: {seed: 6, folds: 3}\n")
    return path


@pytest.mark.parametrize(("name", "section"), SECTIONS)
def test_every_section_of_every_recipe_fills_its_command(name: str, section: str) -> None:
    needed = [word for word in NEEDED[section] if word not in ("--source", "table")]
    settings = parse(section, ["--config", name, *needed])
    assert isinstance(settings, SETTINGS[section])
    told = read_recipe(name, section)
    assert told
    for key, value in told.items():
        found = getattr(settings, key)
        assert_told(value, asdict(settings)[key] if isinstance(value, dict) else found)


def assert_told(told: Any, found: Any) -> None:
    """What a recipe says is in the settings, at every depth."""
    if isinstance(told, dict):
        for name, value in told.items():
            assert_told(value, found[name])
    else:
        assert (tuple(told) if isinstance(told, list) else told) == found


def test_the_two_adhd_recipes_differ_in_the_masking_alone() -> None:
    random, region = (yaml.safe_load(resource("pipelines", f"adhd200_{kind}.yaml").read_text()) for kind in
                      ("random", "region"))  # fmt: skip
    assert random["pretrain"].pop("masking") == {"kind": "random", "ratio": 0.75}
    assert region["pretrain"].pop("masking") == {"kind": "region", "ratio": 0.75}
    assert random == region


@pytest.mark.parametrize("command", SETTINGS)
def test_without_a_recipe_the_defaults_are_those_of_the_dataclass(command: str) -> None:
    settings = parse(command, NEEDED[command])
    unnamed = {"info": "path", "cerebellum": "task"}.get(command)
    words = iter([f"--{unnamed}", *NEEDED[command]] if unnamed else NEEDED[command])
    needed = {word[2:]: next(words) for word in words}
    expected = SETTINGS[command](
        **{name: (value,) if name in ("run", "scans") else value for name, value in needed.items()}
    )
    if hasattr(settings, "trainer"):
        assert expected.trainer.items() <= settings.trainer.items()
        settings = replace(settings, trainer=expected.trainer)
    assert settings == expected


def test_a_recipe_with_sections_takes_that_of_the_command(recipe: Path) -> None:
    settings = parse("pretrain", ["--config", str(recipe), *NEEDED["pretrain"]])
    assert (settings.masking.kind, settings.seed) == ("tube", 5)
    settings = parse("finetune", [f"--config={recipe}", *NEEDED["finetune"]])
    assert (settings.folds, settings.seed) == (3, 6)


@pytest.mark.parametrize("before", [True, False])
def test_options_beat_the_recipe_wherever_they_stand(recipe: Path, before: bool) -> None:
    words = ["--config", str(recipe)]
    options = ["--masking.kind", "random", *NEEDED["pretrain"]]
    settings = parse("pretrain", [*options, *words] if before else [*words, *options])
    assert (settings.masking.kind, settings.masking.ratio, settings.seed) == ("random", 0.75, 5)


def test_recipes_add_up_setting_by_setting_and_the_later_wins(recipe: Path, tmp_path: Path) -> None:
    size = tmp_path / "size.yaml"
    size.write_text("pretrain: {model: {width: 12}, masking: {ratio: 0.5}, trainer: {precision: bf16-mixed}, seed: 7}")
    words = [f"--config={recipe}", "--config", str(size), *NEEDED["pretrain"]]
    settings = parse("pretrain", words)
    assert (settings.masking.kind, settings.masking.ratio, settings.model.width, settings.seed) == ("tube", 0.5, 12, 7)
    assert (settings.trainer["max_epochs"], settings.trainer["precision"]) == (20, "bf16-mixed")
    assert parse("pretrain", [*words[1:3], words[0], *words[3:]]).seed == 5


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_a_size_goes_with_a_recipe_and_has_the_parameters_that_it_says(size: str, grid: Grid, atlas: Atlas) -> None:
    settings = parse("pretrain", ["--config", "adhd200_region", "--config", size, *NEEDED["pretrain"]])
    assert (settings.masking.kind, settings.tokens.patch_volumes, settings.model.queries) == ("region", 12, 256)
    with torch.device("meta"):
        model = build_model(grid, atlas, settings.tokens, settings.model)
    said = re.search(r"A size: ([\d.]+) M parameters", resource("pipelines", f"{size}.yaml").read_text())
    assert said is not None
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(1e6 * float(said[1]), rel=0.02)


def test_a_recipe_without_sections_holds_the_settings_of_one_command(tmp_path: Path) -> None:
    (tmp_path / "flat.yaml").write_text("masking: {ratio: 0.5}\ntrainer: {max_epochs: 2}\nstore: a.zarr\nout: run\n")
    settings = parse("pretrain", ["--config", str(tmp_path / "flat.yaml")])
    assert (settings.masking.ratio, settings.trainer["max_epochs"], settings.store) == (0.5, 2, "a.zarr")


@pytest.mark.parametrize("command", ["pretrain", "finetune", "evaluate", "attribute"])
def test_the_settings_that_a_run_keeps_give_the_same_settings_again(command: str, store: Store, tmp_path: Path) -> None:
    changed = {"finetune": ["--folds", "3"], "attribute": ["--methods", "occlusion"]}.get(command, ["--seed", "2"])
    words = [*NEEDED[command], *changed, "--out", str(tmp_path / "run")]
    settings = parse(command, words)
    with run_folder(command, settings, store) as run:
        pass
    assert parse(command, ["--config", str(run.path / "config.yaml")]) == settings


def test_from_python_a_recipe_is_filled_by_name() -> None:
    settings = fill("pretrain", "demo", {"store": Path("a.zarr"), "out": "run", "seed": 3, "masking.ratio": 0.5})
    assert (settings.store, settings.seed, settings.masking.ratio, settings.model.width) == ("a.zarr", 3, 0.5, 96)


def test_each_further_run_adds_to_the_list() -> None:
    settings = parse("report", ["--run", "a", "--out", "page.html", "--run", "b", "c"])
    assert settings == ReportConfig(run=("a", "b", "c"), out="page.html")


def test_methods_replace_the_default() -> None:
    assert len(parse("attribute", NEEDED["attribute"]).methods) == 5
    assert parse("attribute", [*NEEDED["attribute"], "--methods", "fidelity"]).methods == ("fidelity",)
    recipe = ["--config", "demo", "--methods", "occlusion"]
    assert parse("attribute", [*recipe, *NEEDED["attribute"]]).methods == ("occlusion",)


def test_the_weights_of_a_mix_are_given_by_name_or_as_yaml(tmp_path: Path) -> None:
    words = [*NEEDED["pretrain"], "--masking.kind", "mix"]
    given = parse("pretrain", [*words, "--masking.mix", "{tube: 1, adaptive: 2}"]).masking
    assert given.mix == {"tube": 1.0, "adaptive": 2.0}
    (tmp_path / "mixed.yaml").write_text("masking: {kind: mix, mix: {random: 1, parcels: 3}}")
    told = parse("pretrain", ["--config", str(tmp_path / "mixed.yaml"), *NEEDED["pretrain"]]).masking
    assert (told.kind, told.mix) == ("mix", {"random": 1.0, "parcels": 3.0})


def test_a_list_inside_a_group_is_given_as_yaml() -> None:
    settings = parse("prepare", [*NEEDED["prepare"], "--cleaning.confounds", "[motion, wm_csf]"])
    assert settings.cleaning.confounds == ("motion", "wm_csf")


def test_resume_is_a_flag() -> None:
    assert parse("pretrain", NEEDED["pretrain"]).resume is False
    assert parse("pretrain", [*NEEDED["pretrain"], "--resume"]).resume is True


def test_info_takes_its_path_without_a_name() -> None:
    settings = parse("info", ["somewhere", "--atlas.approximation", "true"])
    assert isinstance(settings, InfoConfig)
    assert (settings.path, settings.atlas.approximation) == ("somewhere", True)


def test_options_of_the_trainer_reach_it() -> None:
    words = ["--trainer.max_epochs", "1", "--trainer.precision", "bf16-mixed", "--trainer.accelerator", "cpu"]
    words += ["--trainer.devices", "2", "--trainer.strategy", "ddp_spawn"]
    trainer = Trainer(logger=False, **parse("pretrain", [*NEEDED["pretrain"], *words]).trainer)
    assert (trainer.max_epochs, trainer.num_devices, trainer.precision) == (1, 2, "bf16-mixed")
    assert type(trainer.strategy).__name__ == "DDPStrategy"


def test_the_trainer_keeps_our_default_beside_one_that_is_told() -> None:
    settings = parse("pretrain", [*NEEDED["pretrain"], "--trainer.devices", "[0]"])
    assert (settings.trainer["max_epochs"], settings.trainer["devices"]) == (20, [0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense", "3"], "unrecognized arguments: --nonsense 3. See `fmrifm pretrain --help`."),
        (["--masking.kind", "blob"], "--masking.kind is blob; expected one of random, tube, region, system,"),
        (["--model.width", "ten"], "--model.width is ten; expected int. See `fmrifm pretrain --help`."),
        (["--model.decoder_width", "ten"], "--model.decoder_width is ten; expected int or null."),
        (["--masking.ratio", "2"], "masking.ratio is 2.0; expected a share between 0 and 1"),
        (["--config", "absent"], "no such file, and no recipe of that name. Recipes that ship: adhd200_random,"),
        (["--config"], "expected one argument"),
        (["--trainer.nonsense", "1"], "unrecognized arguments: --trainer.nonsense 1"),
    ],
)
def test_a_word_that_is_none_is_named(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse("pretrain", [*NEEDED["pretrain"], *words])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_required_is_named() -> None:
    with pytest.raises(ConfigError, match="arguments are required: store, out"):
        parse("pretrain", [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("", "found NoneType"),
        ("- 1", "found list"),
        ("finetune: {}", "has sections finetune, none for pretrain"),
        ("masking: {colour: red}", "colour"),
    ],
)
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        parse("pretrain", ["--config", str(tmp_path / "recipe.yaml"), *NEEDED["pretrain"]])


@pytest.mark.parametrize("command", SETTINGS)
def test_help_explains_every_setting(command: str) -> None:
    text = build_parser(command).format_help()
    assert (SETTINGS[command].__doc__ or "").split(".")[0].split("\n")[0] in " ".join(text.split())
    for name in SETTINGS[command].__dataclass_fields__:
        assert name in text


def test_conditions_add_up_and_methods_are_replaced() -> None:
    words = ["--source", "table", "--root", "a", "--out", "b"]
    assert parse("prepare", words).keep == ()
    assert parse("prepare", [*words, "--keep", "x=1", "y=2", "--keep", "z!=3"]).keep == ("x=1", "y=2", "z!=3")
    assert parse("prepare", words).keep == ()
    words = ["--store", "a", "--checkpoint", "b", "--out", "c"]
    assert parse("attribute", [*words, "--methods", "occlusion"]).methods == ("occlusion",)
