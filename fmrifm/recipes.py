"""From words and recipes to settings: fills the dataclasses of `config` (jsonargparse).

A recipe is a YAML file, or the name of one that ships with fmrifm. It holds either the settings
of one command, or a section for each of several; options given beside it win.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, cast, get_args, get_origin

import yaml
from docstring_parser import parse_from_object
from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from fmrifm import config
from fmrifm.errors import ConfigError
from fmrifm.resources import resource

SETTINGS: dict[str, type] = {
    "demo": config.DemoConfig,
    "prepare": config.PrepareConfig,
    "pretrain": config.PretrainConfig,
    "finetune": config.FinetuneConfig,
    "evaluate": config.EvaluateConfig,
    "compare": config.CompareConfig,
    "attribute": config.AttributeConfig,
    "embed": config.EmbedConfig,
    "predict": config.PredictConfig,
    "cerebellum": config.CerebellumConfig,
    "report": config.ReportConfig,
    "info": config.InfoConfig,
}
"""Every command and the settings that it takes."""
_POSITIONAL = ("path", "task")
"""`fmrifm info PATH` and `fmrifm cerebellum TASK` take these without a name."""
_REFUSED = re.compile(
    r'Parser key "(?P<name>[^"]+)".*?: (?:Expected a |.*?Subtypes: \[)(?P<wanted>.*?)'
    r"(?:\] Errors: .*Given value: |\. Got value: )(?P<found>.*)"
)
"""How jsonargparse says that a value is of a wrong type."""


def parse(command: str, words: Sequence[str]) -> Any:
    """Turn the words after a command into its settings.

    Raises:
        ConfigError: An option, recipe or value is not one.
    """
    parser = build_parser(command)
    try:
        return _settings(command, parser, parser.parse_args(_with_recipe(command, list(words))))
    except ArgumentError as error:
        raise ConfigError(f"{_plain(error)}. See `fmrifm {command} --help`.") from None


def fill(command: str, recipe: str, options: Mapping[str, Any]) -> Any:
    """Settings of a command from a recipe and further settings by dotted name, as from Python.

    Raises:
        ConfigError: As `parse`.
    """
    words = ["--config", recipe]
    return parse(command, words + [f"--{name}={value}" for name, value in options.items()])


def build_parser(command: str) -> ArgumentParser:
    """Make the parser of one command from the dataclass that it fills."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    settings = SETTINGS[command]
    parser = ArgumentParser(prog=f"fmrifm {command}", description=settings.__doc__, exit_on_error=False)
    parser.add_argument("--config", action="config", help="Recipe: a YAML file, or the name of one that ships.")
    special = [field for field in fields(settings) if _is_special(field)]
    parser.add_class_arguments(settings, skip={field.name for field in special})
    # A dataclass describes its own fields only, not those that it inherits.
    described = {part.arg_name: part.description for kind in settings.__mro__[:-1] for part in
                 parse_from_object(kind).params}  # fmt: skip
    for field in special:
        _add_special(parser, field, described.get(field.name) or "")
    return parser


def read_recipe(name: str, command: str) -> dict[str, Any]:
    """Read a recipe's settings for one command.

    Args:
        name: Path of a YAML file, or the name of a recipe that ships with fmrifm.
        command: Whose settings are wanted.

    Raises:
        ConfigError: No such recipe, no YAML, or nothing in it for this command.
    """
    shipped = sorted(resource("pipelines").glob("*.yaml"))
    path = next((recipe for recipe in shipped if recipe.stem == name), Path(name))
    if not path.is_file():
        known = ", ".join(recipe.stem for recipe in shipped)
        raise ConfigError(f"--config {name}: no such file, and no recipe of that name. Recipes that ship: {known}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: not YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"--config {path}: expected settings by name, found {type(content).__name__}.")
    if not set(content) <= set(SETTINGS):
        return content
    if command not in content:
        raise ConfigError(f"--config {path}: has sections {', '.join(content)}, none for {command}.")
    return dict(content[command])


def _with_recipe(command: str, words: list[str]) -> list[str]:
    """Put recipes first, each as its settings for this command: the options win, wherever they stand."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    recipes: list[str] = []
    while "--config" in words[:-1]:
        position = words.index("--config")
        name = words[position + 1]
        del words[position : position + 2]
        recipes += ["--config", yaml.safe_dump(read_recipe(name, command))]
    return recipes + words


def _plain(error: ArgumentError) -> str:
    """Say a refusal in one line, and that of a value without Python's words for types."""
    said = " ".join(str(error).split()).rstrip(".")
    match = _REFUSED.fullmatch(said)
    if match is None:
        return said
    wanted = match["wanted"].replace("'>, <", "'> or <").replace("NoneType", "null")
    wanted = re.sub(r"<class '(\w+)'>", r"\1", wanted)
    wanted = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", wanted).replace("'", "")
    name = match["name"] if match["name"] in _POSITIONAL else f"--{match['name']}"
    return f"{name} is {match['found']}; expected {wanted}"


def _is_special(field: "Field[Any]") -> bool:
    return field.name in (*_POSITIONAL, "trainer") or field.type is bool or get_origin(field.type) is tuple


def _add_special(parser: ArgumentParser, field: "Field[Any]", text: str) -> None:
    """Add what the dataclass alone would make clumsy: a path without a name, flags, lists, Trainer options."""
    if field.name in _POSITIONAL:
        parser.add_argument(field.name, type=field.type, help=text)
    elif field.name == "trainer":
        _add_trainer(parser, field)
    elif field.type is bool:
        parser.add_argument(f"--{field.name}", action=ActionYesNo, default=field.default, help=text)
    else:
        item = get_args(field.type)[0]
        # Each further --run or --keep adds to an empty list; of a full one (--methods) the words given take the place.
        more: dict[str, Any] = {} if field.default else {"action": "extend"}
        default = [*cast("tuple[Any, ...]", field.default)]
        parser.add_argument(f"--{field.name}", nargs="+", type=item, default=default, help=text, **more)


def _add_trainer(parser: ArgumentParser, field: "Field[Any]") -> None:
    from lightning import Trainer  # slow to import, and not every command trains

    parser.add_class_arguments(Trainer, "trainer", instantiate=False)
    defaults = cast("Any", field.default_factory)()
    parser.set_defaults({f"trainer.{name}": value for name, value in defaults.items()})


def _settings(command: str, parser: ArgumentParser, parsed: Namespace) -> Any:
    filled = parser.instantiate(parsed)
    values = {field.name: filled[field.name] for field in fields(SETTINGS[command])}
    if "trainer" in values:
        values["trainer"] = {name: value for name, value in vars(values["trainer"]).items() if value is not None}
    return SETTINGS[command](
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )
