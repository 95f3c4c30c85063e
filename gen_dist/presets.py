"""From a preset's name or a YAML file, plus key=value overrides, to a RunConfig.

A preset holds only what differs from the one that its `base:` names, or from the defaults.
Its first line is a comment: the one-line description that `gen-dist configs` shows.
"""

import copy
import difflib
from collections.abc import Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gen_dist.config import RunConfig
from gen_dist.errors import UserError
from gen_dist.proposals import completed
from gen_dist.yaml_text import parse_yaml


def preset_folder() -> Path:
    return Path(__file__).parent / "configs"


def preset_names() -> list[str]:
    return sorted(p.stem for p in preset_folder().glob("*.yaml"))


def describe_preset(name: str) -> str:
    return (preset_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()


def load_config(reference: str, overrides: Iterable[str] = ()) -> RunConfig:
    """The validated configuration of a preset or YAML file.

    Raises:
        UserError: unknown preset, unreadable file, unknown key (with the nearest name), or bad value.
    """
    tree, name = load_tree(reference)
    tree.setdefault("preset", name)
    for override in overrides:
        apply_override(tree, override)
    return parse_config(tree)


def parse_config(tree: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise UserError(completed(explain(error, tree), lambda settings: refusal(tree, settings))) from None


def refusal(tree: dict[str, Any], overrides: Iterable[str]) -> str | None:
    """Why `tree` with `overrides` is refused, if it is."""
    changed = copy.deepcopy(tree)
    try:
        for override in overrides:
            apply_override(changed, override)
        RunConfig.model_validate(changed)
    except ValidationError as error:
        return explain(error, changed)
    except UserError as error:
        return str(error)
    return None


def load_tree(reference: str, seen: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """The settings of a preset with those of its bases under them, and its name."""
    is_file = reference.endswith((".yaml", ".yml"))
    path = Path(reference) if is_file else preset_folder() / f"{reference}.yaml"
    if reference in seen:
        raise UserError(f"base '{reference}': presets {' -> '.join(seen)} derive from each other; remove one 'base:'")
    if not is_file and reference not in preset_names():
        hint = nearest(reference, preset_names())
        raise UserError(f"preset '{reference}': unknown{hint}; 'gen-dist configs' lists them, a file must end in .yaml")
    tree = read_yaml(path)
    base = tree.pop("base", None)
    if base is None:
        return tree, path.stem
    if not isinstance(base, str):
        raise UserError(f"base {base!r} in {path}: must be the name of a preset")
    under, _ = load_tree(base, (*seen, reference))
    return merge(under, tree), path.stem


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"config '{path}': {error.strerror}; give a preset's name or a readable YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"config '{path}': not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise UserError(f"config '{path}': must hold 'key: value' lines at the top level")
    return tree


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"override '{override}': must be key=value, such as train.steps=1000")
    value = override_value(key, text)
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        child = node.get(parent)
        node[parent] = dict(child) if isinstance(child, dict) else {}
        node = node[parent]
    node[last] = merge(node[last], value) if isinstance(value, dict) and isinstance(node.get(last), dict) else value


def override_value(key: str, text: str) -> Any:
    """What `text` means for the setting `key`: where that is a string, the text as it is, else YAML."""
    kinds = kinds_of(key)
    if str in kinds:  # a folder may be called 64, true or 2024-01-01
        return None if NoneType in kinds and text in ("", "null", "~") else text
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        return text


def explain(error: ValidationError, tree: dict[str, Any]) -> str:
    """One line for the first fault: the key, the value, what is allowed."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # our own validators speak for themselves
        return str(first["ctx"]["error"])
    location = [str(part) for part in first["loc"]]
    field = RunConfig.model_fields.get(location[0])
    if field is not None and field.discriminator:
        del location[1:2]  # the model's family or the objective's kind, which is not part of the key
    key, known = ".".join(location), known_keys(RunConfig, tree)
    if first["type"] in ("extra_forbidden", "invalid_key"):
        return why_unknown(key, known, tree)
    if first["type"] in ("model_type", "model_attributes_type"):
        example = next(k for k in known if k.startswith(f"{key}."))
        return f"{key} {first['input']!r}: must hold settings, such as {example}"
    if first["type"] == "union_tag_invalid":
        chooser, tag = first["ctx"]["discriminator"].strip("'"), first["ctx"]["tag"]
        return f"{key}.{chooser} '{tag}': must be one of {first['ctx']['expected_tags']}"
    if first["type"] in ("missing", "union_tag_not_found"):
        return f"key '{key}': missing; every configuration needs it"
    if first["type"] == "string_pattern_mismatch":
        return f"{key} {first['input']!r}: must be {fields_of(key)[0].description}"  # a pattern is not for people
    if first["type"] == "list_type":
        return f"{key} {first['input']!r}: must be a list, in brackets with commas between"
    if first["type"] == "string_type" and location[-1].isdigit():  # what stands in a list has no description
        of = ".".join(location[:-1])
        return f"{key} {first['input']!r}: must be text; {of}: {fields_of(of)[0].description}"
    message = first["msg"].replace("Input should be", "must be")
    return f"{key} {first['input']!r}: {message[0].lower()}{message[1:]}"


def why_unknown(key: str, known: list[str], tree: dict[str, Any]) -> str:
    """One line about a key that is none here: how it is written, or whose it is, or what it may have meant."""
    section, _, last = key.rpartition(".")
    if key in known:
        return f"key '{key}': unknown with dots in a file; write {section}: {{{last}: ...}}"
    group = RunConfig.model_fields.get(section)
    if group is not None and group.discriminator and fields_of(key):
        chooser = str(group.discriminator)
        choice = tree[section][chooser]
        return (
            f"key '{key}': {section}.{chooser} '{choice}' has none; leave it out, or begin with a preset of "
            f"{section}.{chooser} '{choice}', such as {preset_with(section, chooser, choice)}"
        )
    leaves = [k for k in known if not any(other.startswith(f"{k}.") for other in known)]
    siblings = [k.rpartition(".")[2] for k in leaves if section and k.rpartition(".")[0] == section]
    if close := difflib.get_close_matches(last, siblings, n=1, cutoff=0.6):
        return f"key '{key}': unknown, did you mean '{section}.{close[0]}'?"
    elsewhere = nearest(last if siblings else key, known if not section else leaves)
    return f"key '{key}': unknown" + (elsewhere or (f"; {section} has {', '.join(siblings)}" if siblings else ""))


def preset_with(section: str, chooser: str, choice: str) -> str:
    """The first preset that has this choice: there is one of each family and of each kind of objective."""
    return next(name for name in preset_names() if load_tree(name)[0][section][chooser] == choice)


def known_keys(model: type[BaseModel], tree: Any = None, prefix: str = "") -> list[str]:
    """Every key there is, with those of one model family and one kind of objective only where `tree` names it."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        part = tree.get(name) if isinstance(tree, dict) else None
        keys.append(prefix + name)
        for kind in chosen(field, part):
            keys += known_keys(kind, part, f"{prefix}{name}.")
    return keys


def chosen(field: FieldInfo, part: Any) -> list[type[BaseModel]]:
    """The groups of settings that `field` may hold: the one that `part` of a configuration names, or all."""
    groups = [kind for kind in kinds_in(field) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    chooser = field.discriminator
    if not isinstance(chooser, str) or not isinstance(part, dict):
        return groups
    named = [group for group in groups if part.get(chooser) in get_args(group.model_fields[chooser].annotation)]
    return named or groups


def kinds_of(key: str) -> list[Any]:
    """The types that the setting `key` may have, in any family that has it."""
    return [kind for field in fields_of(key) for kind in kinds_in(field)]


def fields_of(key: str) -> list[FieldInfo]:
    """The setting `key`, in every family that has it."""
    groups: list[type[BaseModel]] = [RunConfig]
    fields: list[FieldInfo] = []
    for part in key.split("."):
        fields = [group.model_fields[part] for group in groups if part in group.model_fields]
        groups = [group for field in fields for group in chosen(field, None)]
    return fields


def kinds_in(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)


def nearest(name: str, names: Iterable[str]) -> str:
    """ ", did you mean 'x'?" or nothing. Compares whole dotted names first, then their last parts."""
    names = list(dict.fromkeys(names))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        by_last = {n.rpartition(".")[2]: n for n in names}
        close = [by_last[m] for m in difflib.get_close_matches(name.rpartition(".")[2], list(by_last), n=1, cutoff=0.7)]
    return f", did you mean '{close[0]}'?" if close else ""
