"""Configuration: presets, overrides, and one line for every fault."""

from pathlib import Path

import pytest
import yaml

from gen_dist.config import RunConfig, result_settings
from gen_dist.errors import UserError
from gen_dist.models.sides import pyramid
from gen_dist.presets import describe_preset, known_keys, load_config, parse_config, preset_names
from gen_dist.record.run_folder import RunFolder


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_describes_itself_and_replays(name, tmp_path):
    config = load_config(name)
    assert config.preset == name
    assert len(describe_preset(name)) > 20
    replay = tmp_path / "config.yaml"
    replay.write_text(yaml.safe_dump(config.model_dump()))
    assert load_config(str(replay)) == config


def test_the_docs_name_every_preset():
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    assert [name for name in preset_names() if f"`{name}`" not in text] == []


def test_every_field_is_documented_or_named_by_what_it_is():
    undocumented = [
        f"{model.__name__}.{name}"
        for model in (RunConfig, *RunConfig.__mro__[1].__subclasses__())
        for name, field in model.model_fields.items()
        if field.description is None and name not in ("family", "kind")
    ]
    sections = [f"RunConfig.{s}" for s in ("data", "model", "objective", "optimizer", "train", "cluster", "wandb")]
    assert set(undocumented) <= {*sections, "DataSettings.augment", "DataSettings.decoding", "DataSettings.prepare"}


def test_overrides_go_over_the_preset_and_the_preset_over_its_base():
    config = load_config(
        "dcgan-emoji", ["train.steps=7", "optimizer.learning_rate=3e-4", "data.augment.vertical_flip=true"]
    )
    assert config.train.steps == 7
    assert config.optimizer.learning_rate == 3e-4
    assert config.data.augment.vertical_flip
    assert config.data.augment.horizontal_flip  # of the preset itself
    assert config.optimizer.beta1 == 0.5  # of its base


def test_settings_that_do_not_change_the_weights_are_not_in_a_checkpoint():
    kept = result_settings(load_config("smoke"))
    assert "train.batch_size" in kept
    assert "model.latent" in kept
    assert not {"train.steps", "train.log_every", "cluster.shares", "data.path", "wandb.mode"} & kept.keys()


FAULTS = [
    ("smok", [], "preset 'smok': unknown, did you mean 'smoke'?"),
    ("smoke", ["train.stps=3"], "key 'train.stps': unknown, did you mean 'train.steps'?"),
    ("smoke", ["learning_rate=1"], "key 'learning_rate': unknown, did you mean 'optimizer.learning_rate'?"),
    (
        "smoke",
        ["model.width=3"],
        "key 'model.width': model.family 'dcgan' has none; leave it out, or begin with a preset of model.family "
        "'dcgan', such as dcgan-32",
    ),
    ("vaegan-64", ["objective.loss=hinge"], "key 'objective.loss': objective.kind 'vaegan' has none; leave it out"),
    (
        "smoke",
        ["model.family=vae"],
        "key 'model.generator_width': model.family 'vae' has none; leave it out, or begin with a preset of "
        "model.family 'vae', such as vae-64",
    ),
    ("smoke", ["optimizer.lr=1e-3"], "key 'optimizer.lr': unknown; optimizer has kind, learning_rate, "),
    ("smoke", ["data.augment.mirror=true"], "key 'data.augment.mirror': unknown; data.augment has horizontal_flip, "),
    ("smoke", ["objectiv.los=bce"], "key 'objectiv': unknown, did you mean 'objective'?"),
    ("smoke", ["train.steps=0"], "train.steps 0: must be greater than or equal to 1"),
    ("smoke", ["train.steps=many"], "train.steps 'many': must be a valid integer"),
    ("smoke", ["train.precision=fp16"], "train.precision 'fp16': must be 'auto', 'fp32' or 'bf16'"),
    ("smoke", ["optimizer.learning_rate=.nan"], "optimizer.learning_rate nan: must be a finite number"),
    ("smoke", ["train.batch_size=33"], "train.batch_size 33: not divisible by train.microbatch_size 8"),
    (
        "smoke",
        ["model.family=vea"],
        "model.family 'vea': must be one of 'vae', 'dcgan', 'gan', 'sngan', 'growing', 'vaegan'",
    ),
    ("smoke", ["cluster.shares=[3,2]"], "cluster.shares [3, 2]: they sum to 5, but the batch has 4 microbatches"),
    ("smoke", ["cluster.shares=[4,0]"], "cluster.shares.1 0: must be greater than or equal to 1"),
    ("smoke", ["cluster.shares=3"], "cluster.shares 3: must be a list, in brackets with commas between"),
    (
        "smoke",
        ["objective.diffaugment=[color, colour]"],
        "objective.diffaugment.1 'colour': must be 'color', 'translation' or 'cutout'",
    ),
    ("smoke", ["objective.diffaugment=[[color]]"], "objective.diffaugment.0 ['color']: must be 'color'"),
    ("smoke", ["objective.diffaugment=color"], "objective.diffaugment 'color': must be a list, in brackets"),
    ("smoke", ["objective.diffaugment.0=color"], "objective.diffaugment {'0': 'color'}: must be a list, in brackets"),
    ("smoke", ["objective.diffaugment=[color"], "objective.diffaugment '[color': must be a list, in brackets"),
    ("vae-64", ["model.layers=fc512"], "model.layers 'fc512': must be a list, in brackets with commas between"),
    ("vae-64", ["model.layers=[fc512, 3]"], "model.layers.1 3: must be text; model.layers: the encoder's"),
    (
        "gan-balanced64",
        ["model.generator_layers=[512]"],
        "model.generator_layers.0 512: must be text; model.generator_layers: such as",
    ),
    ("vae-64", ["model.layers="], "model.layers None: must be a list, in brackets with commas between"),
    ("smoke", ["train"], "override 'train': must be key=value"),
    ("smoke", ["model=3"], "model 3: must hold settings, such as model.latent"),
    ("smoke", ["model="], "model None: must hold settings, such as model.latent"),
    ("smoke", ["objective=x"], "objective 'x': must hold settings, such as objective.kind"),
    ("smoke", ["data=3"], "data 3: must hold settings, such as data.path"),
    ("smoke", ["data.augment=3"], "data.augment 3: must hold settings, such as data.augment.horizontal_flip"),
    (
        "smoke",
        ["model.family=[a]"],
        "model.family '['a']': must be one of 'vae', 'dcgan', 'gan', 'sngan', 'growing', 'vaegan'",
    ),
    ("smoke", ["seed=2024-13-45"], "seed '2024-13-45': must be a valid integer"),
    ("smoke", ["seed=2024-01-01"], "seed '2024-01-01': must be a valid integer"),
    ("smoke", ["seed=!!int x"], "seed '!!int x': must be a valid integer"),
    ("smoke", ["seed=!!bool x"], "seed '!!bool x': must be a valid integer"),
    ("smoke", ["data.dcgan=1"], "key 'data.dcgan': unknown"),
    ("smoke", ["data.vae=1"], "key 'data.vae': unknown"),
    ("nowhere.yaml", [], "config 'nowhere.yaml': No such file or directory"),
]


@pytest.mark.parametrize(("reference", "overrides", "message"), FAULTS)
def test_a_fault_is_one_line_that_names_it(reference, overrides, message):
    with pytest.raises(UserError) as caught:
        load_config(reference, overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "must hold 'key: value' lines"),
        ("a: [", "not valid YAML"),
        ("base: smoke\nmodel: {colour: red}", "key 'model.colour': unknown"),
        ("base: nothing", "preset 'nothing': unknown"),
        ("data: {size: 32}", "key 'model': missing"),
        ("base: 3", "must be the name of a preset"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("base: smoke\nmodel:", "model None: must hold settings"),
        ("base: smoke\nseed: 2024-13-45", "seed '2024-13-45': must be a valid integer"),
        ("base: smoke\nseed: !!timestamp 2024-13-45", "not valid YAML .ValueError: month must be in"),
        ("base: smoke\nseed: !!int ''", "not valid YAML .IndexError"),
        ("base: smoke\nseed: &a 1\ndata: &a {}", "not valid YAML .*duplicate anchor"),
        ("[" * 5000, "not valid YAML .RecursionError"),
        ("base: smoke\n3: 4", "key '3': unknown"),
        ("base: smoke\nmodel.latent: 4", "key 'model.latent': unknown with dots in a file; write model: {latent: ...}"),
    ],
)
def test_a_bad_file_is_refused(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_config(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["64", "2024-01-01", "1e3", "true", "null", "", "~", "[x", "a: b", " x ", "'x'"])
def test_a_folder_may_have_any_name(name, tmp_path):
    config = load_config("smoke", [f"data.path={name}"])
    assert config.data.path == name
    run = RunFolder.create(tmp_path / "run", config.model_dump(), {})
    assert run.config == config.model_dump()
    assert load_config(str(run.path / "config.yaml")) == config


def test_a_string_that_may_be_absent_is_so_for_null_only():
    texts = {"null": None, "": None, "~": None, "none": "none", "7": "7", "true": "true"}
    assert {text: load_config("smoke", [f"wandb.entity={text}"]).wandb.entity for text in texts} == texts


@pytest.mark.parametrize(
    ("preset", "typo"),
    [("vae-64", "model.generator_widht"), ("dcgan-64", "objective.likelyhood"), ("vae-64", "objective.real_labl")],
)
def test_a_key_of_the_other_family_is_not_suggested(preset, typo):
    with pytest.raises(UserError) as caught:
        load_config(preset, [f"{typo}=3"])
    suggested = str(caught.value).partition("did you mean '")[2].partition("'")[0]
    config = load_config(preset)
    assert not suggested or suggested in known_keys(RunConfig, config.model_dump())
    assert suggested not in ("model.generator_width", "objective.likelihood", "objective.real_label")


def test_known_keys_are_those_of_the_chosen_family():
    keys = set(known_keys(RunConfig, load_config("vae-64").model_dump()))
    assert {"model.width", "objective.beta"} <= keys
    assert not {"model.generator_width", "objective.real_label"} & keys


def test_a_model_needs_its_own_kind_of_objective():
    with pytest.raises(UserError, match="objective.kind 'gan': model.family 'vae' needs 'vae'"):
        parse_config({"model": {"family": "vae"}, "objective": {"kind": "gan"}})


def test_bases_in_a_circle_are_refused(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"base: {two}")
    two.write_text(f"base: {one}")
    with pytest.raises(UserError, match="derive from each other"):
        load_config(str(one))


@pytest.mark.parametrize(
    ("size", "sides"),
    [(64, [64, 32, 16, 8, 4]), (28, [28, 14, 7]), (92, [92, 46, 23, 12, 6]), (17, [17, 9, 5]), (8, [8, 4])],
)
def test_sides_halve_until_four_to_seven_pixels_are_left(size, sides):
    assert pyramid(size) == sides


def test_every_size_has_a_pyramid():
    assert {pyramid(size)[-1] for size in range(8, 1025)} == {4, 5, 6, 7}


def test_known_keys_hold_what_everything_relies_on():
    assert {"seed", "train.steps", "train.reducer", "data.augment.horizontal_flip", "model.latent"} <= set(
        known_keys(RunConfig)
    )


def test_a_rate_that_falls_to_nothing_before_the_end_is_told():
    assert load_config("dcgan-32").notices() == []
    [notice] = load_config("dcgan-32", ["train.steps=50000"]).notices()
    assert "after step 25000 of 50000 the learning rate is 0" in notice
    assert "use optimizer.decay_steps=50000" in notice
    assert load_config("dcgan-32", ["train.steps=50000", "optimizer.final_fraction=0.1"]).notices() == []
    warm = ["train.steps=101", "optimizer.schedule=cosine", "optimizer.warmup_steps=40"]
    assert len(load_config("vae-64", [*warm, "optimizer.decay_steps=60"]).notices()) == 1
    assert load_config("vae-64", [*warm, "optimizer.decay_steps=61"]).notices() == []
