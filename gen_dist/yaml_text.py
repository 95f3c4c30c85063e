"""YAML as gen-dist reads and writes it: 2e-4 is a number, a date is a string, and nothing else is special."""

import json
import re
from typing import Any

import yaml

_FLOAT = "tag:yaml.org,2002:float"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 2e-4 as a string; this one reads it as the number that everybody means. No setting is a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+0123456789."))


class _Dumper(yaml.SafeDumper):
    """Quotes also the strings that only `_Loader` would take for numbers."""


_Dumper.add_implicit_resolver(_FLOAT, _NUMBER, list("-+0123456789."))


def parse_yaml(text: str) -> Any:
    """The plain values that `text` stands for. Raises yaml.YAMLError for whatever is wrong with it."""
    try:
        return yaml.load(text, _Loader)
    except (ValueError, LookupError, AttributeError, RecursionError) as error:  # of tags such as !!int, of deep nesting
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error


def dump_yaml(tree: dict[str, Any]) -> str:
    """The text that `parse_yaml`, and any other reader of YAML, turns into `tree` again; keys keep their order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def inline_yaml(value: Any) -> str:
    """One setting's value in one line, as `key=value` on a command line has it."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=1 << 20)
    line = text.removesuffix("\n").removesuffix("\n...")
    return json.dumps(value) if "\n" in line else line
