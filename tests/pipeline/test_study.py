"""What a user may write, and what each mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.errors import UserError
from pipeline.load import load_study
from pipeline.schema import json_schema
from pipeline.study import HEADS

ROOT = Path(__file__).parents[2]
GOOD = """
dataset: {source: digits}
backbones: {Embedded: {}}
heads: {logistic: {}}
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return file


def refusal(tmp_path: Path, text: str) -> str:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        load_study(file)
    message = str(error.value)
    assert message.startswith(str(file)), "the message names the file"
    assert "Traceback" not in message
    return message.replace(str(file), "mine.yaml")


def test_names_say_what_a_thing_is(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD))
    assert study.backbones["Embedded"].architecture == "Embedded"
    assert study.heads["logistic"].type == "logistic"  # type: ignore[union-attr]


def test_a_head_without_settings_may_be_a_bare_name(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD.replace("{logistic: {}}", "\n  knn:\n  ridge:\n")))
    assert list(study.heads) == ["knn", "ridge"]


def test_scientific_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD.replace("logistic: {}", "logistic: {C: [1e-4, 2E3]}")))
    assert study.heads["logistic"].model_dump()["C"] == [1e-4, 2000.0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # unknown keys
        ("heads:", "head: 1\nheads:", "unknown key 'head' (do you mean 'heads'?); allowed: data"),
        ("logistic: {}", "logistic: {c: 1}", "heads.logistic: unknown key 'c'; allowed: layers"),
        ("digits}", "digits, path: x}", "dataset: unknown key 'path'; allowed: test, validation"),
        ("Embedded: {}", "Embedded: {sise: 9}", "unknown key 'sise' (do you mean 'size'?)"),
        # unknown names
        ("Embedded: {}", "resnet: {}", "backbones: resnet: no architecture 'resnet'; allowed: Emb"),
        ("logistic: {}", "forest: {}", "heads: forest: no type 'forest'; allowed: logistic, svm"),
        ("digits", "mnist", "dataset: no source 'mnist'; allowed: cifar10, cifar100, digits"),
        (
            "logistic: {}",
            "logistic: {view: mirrored}",
            "'mirrored' is none of the views of backbone 'Embedded'; allowed: identity, mirror",
        ),
        # wrong types
        (
            "logistic: {}",
            "logistic: {C: big}",
            "heads.logistic.C: input should be a valid number or a valid list (it is 'big')",
        ),
        ("logistic: {}", "logistic: {C: -1}", "heads.logistic.C: input should be greater than 0"),
        ("logistic: {}", "knn: {k: [1, 2.5]}", "heads.knn.k.1: input should be a valid integer"),
        ("logistic: {}", "dense: {hidden: [a]}", "heads.dense.hidden.0: "),
        ("Embedded: {}", "Embedded: {size: big}", "backbones.Embedded.size: "),
        ("{source: digits}", "digits", "dataset: no source 'digits'"),
        ("digits}", "digits, validation: 1.5}", "dataset.validation: input should be less than 1"),
        ("digits}", "digits, limit: {dev: 3}}", "dataset.limit.dev: "),
        # name clashes
        ("{logistic: {}}", "{logistic: {}, logistic: {}}", "line 4: the name 'logistic' is used"),
        (
            "{logistic: {}}",
            "{logistic: {}, Logistic: {type: svm}}",
            "heads: the names 'logistic' and 'Logistic' clash",
        ),
        ("Embedded: {}", "a.b: {architecture: Embedded}", "the name 'a.b' may hold letters"),
        # missing files
        ("digits}", "npz, path: /no/such.npz}", "dataset.path: /no/such.npz: no such file"),
        ("digits}", "folder}", "dataset.path: missing"),
        (
            "digits}",
            "folder, path: $NO_SUCH_VARIABLE/x}",
            "the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            "Embedded: {}",
            "ResNet50: {weights: /no/such.weights.h5}",
            "backbones.ResNet50.weights: /no/such.weights.h5: no such file",
        ),
        # what cannot be
        (
            "Embedded: {}",
            "InceptionV3: {size: 32}",
            "size 32, 32 is below the smallest that InceptionV3 takes: 75",
        ),
        ("Embedded: {}", "ResNet50: {alpha: 0.5}", "backbones.ResNet50: ResNet50 takes no alpha"),
        ("Embedded: {}", "MobileNetV2: {alpha: 0.36}", "no ImageNet weights for alpha 0.36"),
        ("Embedded: {}", "Embedded: {weights: imagenet}", "Embedded has weights of its own"),
        ("Embedded: {}", "Embedded: {views: []}", "backbones.Embedded.views: "),
        ("Embedded: {}", "Embedded: {views: [mirror]}", "heads.logistic.view: 'identity' is none"),
        ("Embedded: {}", "Embedded: {views: [mirror, mirror]}", "a view is named twice"),
        # a study that lists nothing
        ("{logistic: {}}", "{}", "heads: lists nothing"),
        ("{Embedded: {}}", "", "backbones: lists nothing"),
        (GOOD, "", "mine.yaml: lists nothing; a study has dataset, backbones, heads, seeds"),
        (GOOD, "- 1", "mine.yaml: lists nothing"),
        ("heads: {logistic: {}}", "", "mine.yaml: heads: missing"),
        ("{logistic: {}}", "{logistic: {}}\nseeds: []", "seeds: list should have at least 1"),
        ("{logistic: {}}", "{logistic: {}}\nseeds: [1, 1]", "seeds: a seed is named twice"),
        (
            "{logistic: {}}",
            "{logistic: {}}\nsuspects: knn",
            "suspects: no head 'knn'; allowed: log",
        ),
        (
            "{logistic: {}}",
            "{logistic: {}}\nlearning_curves: [logistic, svm]",
            "learning_curves: no head 'svm'; allowed: logistic",
        ),
        # heads that are more than one
        (
            "logistic: {}",
            "logistic: {join: [Embedded, VGG16]}",
            "heads.logistic.join: no backbone 'VGG16'; allowed: Embedded",
        ),
        ("logistic: {}", "logistic: {join: [a, a]}", "heads.logistic.join: a backbone is named"),
        (
            "logistic: {}",
            "logistic: {}, v: {type: vote, heads: [logistic, knn]}",
            "heads.v.heads: no head 'knn' that can vote; allowed: logistic",
        ),
        ("logistic: {}", "knn: {}, vote: {heads: [knn]}", "heads.vote.heads: list should have at"),
        (
            "{logistic: {}}",
            "{knn: {}, ridge: {}, v: {type: vote, heads: [knn, ridge]}}\nsuspects: v",
            "suspects: 'v' is a vote, which is not fitted",
        ),
        ("logistic: {}", "logistic: {pca: 0}", "heads.logistic.pca: input should be greater"),
        (
            "logistic: {}",
            "custom: {estimator: 'nowhere.at_all:Forest'}",
            "heads.custom.estimator: estimator nowhere.at_all:Forest: no module 'nowhere'",
        ),
        ("logistic: {}", "custom: {estimator: Forest}", "write it as package.module:Class"),
        # how settings are chosen, and what is judged besides
        ("{logistic: {}}", "{logistic: {}}\nfolds: 1", "folds: input should be greater than or"),
        (
            "{logistic: {}}",
            "{dense: {search: {}}}\nfolds: 3",
            "heads.dense.search: Keras Tuner goes by one validation split",
        ),
        (
            "{logistic: {}}",
            "{logistic: {}}\nfurther_tests: {c: {source: cifar}}",
            "further_tests: no source 'cifar'; allowed: cifar10",
        ),
        (
            "{logistic: {}}",
            "{logistic: {}}\nfurther_tests: {c: {source: digits, validation: 0.2}}",
            "further_tests: c: all of it is a test split: leave out validation",
        ),
        (
            "{logistic: {}}",
            "{logistic: {}}\nfurther_tests: {c: {source: digits, limit: {train: 3}}}",
            "further_tests: c: all of it is a test split: leave out limit.train",
        ),
        ("{logistic: {}}", "{logistic: {}}\nfurther_tests: {a.b: {source: digits}}", "'a.b' may"),
        ("{logistic: {}}", "{logistic: {}}\nmemory: 0", "memory: input should be greater than 0"),
        ("{logistic: {}}", "{logistic: {}}\nscheduler: here", "scheduler: string should match"),
        # no YAML
        ("{logistic: {}}", "[", "mine.yaml, line "),
    ],
)
def test_a_mistake_is_answered_with_place_and_remedy(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    assert expected in refusal(tmp_path, GOOD.replace(old, new))


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    wrong = GOOD.replace("logistic: {}", "knn: {k: 0}").replace("Embedded: {}", "VGG16: {x: }")
    message = refusal(tmp_path, wrong)
    assert "heads.knn.k" in message
    assert "backbones.VGG16" in message


def test_what_the_user_wrote_is_shown_as_it_was_written(tmp_path: Path) -> None:
    wrong = GOOD.replace("logistic: {}", "dense: {stack: [{dens: 3}]}")
    assert "layer 1 ({'dens': 3}): no layer 'dens'" in refusal(tmp_path, wrong)


@given(text=st.text(max_size=200))
def test_no_text_at_all_makes_it_crash(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("study") / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(UserError):
        load_study(file)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "dataset": VALUES | st.fixed_dictionaries({"source": st.just("npz"), "test": VALUES}),
            "backbones": VALUES | st.dictionaries(st.just("Embedded"), VALUES),
            "heads": VALUES | st.dictionaries(st.sampled_from([*HEADS, "x"]), VALUES),
            "seeds": VALUES,
        },
    )
)
def test_no_study_at_all_makes_it_crash(
    body: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("study") / "any.yaml"
    file.write_text(yaml.safe_dump(body, allow_unicode=True))
    try:
        load_study(file)
    except UserError as error:
        assert str(file) in str(error)


def test_the_schema_file_is_the_definitions() -> None:
    """Write it anew by: uv run python -m pipeline.schema."""
    stored = json.loads((ROOT / "studies" / "study.schema.json").read_text())
    assert stored == json_schema()


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda f: f.stem)
def test_shipped_studies_fit_definition_and_schema(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cifar10-jpeg.tar.gz", "mobilenet_v2_0.35_224_no_top.weights.h5"):
        (tmp_path / name).touch()
    monkeypatch.setenv("HEADSTART_REAL_DATA", str(tmp_path))
    (tmp_path / "data" / "food10").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    study = load_study(file)
    assert study.heads
    body = yaml.safe_load(file.read_text())
    # An editor leaves a name without settings alone.
    body["heads"] = {name: settings or {} for name, settings in body["heads"].items()}
    jsonschema.validate(body, json_schema())


def test_the_schema_refuses_what_the_definition_refuses() -> None:
    body = {"dataset": {"source": "digits"}, "backbones": {"Embedded": {}}, "heads": {"knn": {}}}
    jsonschema.validate(body, json_schema())
    for wrong in ({"head": 1}, {"dataset": {"source": "mnist"}}, {"heads": {"knn": {"kk": 1}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body | wrong, json_schema())


def test_settings_may_be_shared_by_an_anchor_and_written_over(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "dataset: {source: digits}\n"
        "backbones:\n"
        "  fast: &shared {architecture: Embedded, size: 40, views: [identity]}\n"
        "  exact: {<<: *shared, precision: exact, size: 48}\n"
        "heads: {logistic: {}}\n"
    )
    exact = load_study(file).backbones["exact"]
    assert (exact.precision, exact.size, exact.views) == ("exact", 48, ["identity"])


def preset_in(folder: Path, **converter: object) -> Path:
    """The two files of a KerasHub preset that a study is laid out by."""
    folder.mkdir()
    backbone = {"config": {"image_shape": [224, 224, 3], "patch_size": 14}}
    (folder / "config.json").write_text(json.dumps(backbone))
    says = {"image_size": [224, 224], "scale": 0.01, "offset": -1.0, **converter}
    (folder / "image_converter.json").write_text(json.dumps({"config": says}))
    return folder


def test_a_preset_says_what_the_study_leaves_open(tmp_path: Path) -> None:
    folder = preset_in(tmp_path / "vit", interpolation="bicubic", antialias=True)
    text = f"{{a: {{weights: {folder}}}, b: {{weights: {folder}, size: 98, resize: pad}}}}"
    study = load_study(write(tmp_path, GOOD.replace("{Embedded: {}}", text)))
    a, b = study.backbones.values()
    assert (a.architecture, a.height_width, a.resize) == ("hub", (224, 224), "crop")
    assert (a.interpolation, a.antialias) == ("bicubic", True)
    assert (b.height_width, b.resize, b.interpolation) == ((98, 98), "pad", "bicubic")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("preprocessing: tf", "a preset has its own preprocessing: leave it out"),
        ("alpha: 0.5", "a preset has its own alpha: leave it out"),
        ("architecture: VGG16", "is its own architecture: leave `architecture` out"),
    ],
)
def test_what_a_preset_has_of_its_own_is_refused(
    tmp_path: Path, settings: str, expected: str
) -> None:
    folder = preset_in(tmp_path / "vit")
    text = f"{{a: {{weights: {folder}, {settings}}}}}"
    assert expected in refusal(tmp_path, GOOD.replace("{Embedded: {}}", text))


def test_a_preset_without_its_converter_is_told_how_to_get_one(tmp_path: Path) -> None:
    folder = preset_in(tmp_path / "vit")
    (folder / "image_converter.json").unlink()
    text = f"{{a: {{weights: {folder}}}}}"
    message = refusal(tmp_path, GOOD.replace("{Embedded: {}}", text))
    assert "no image_converter.json" in message
    assert "headstart preset NAME FOLDER" in message


def test_hub_alone_is_no_backbone(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD.replace("{Embedded: {}}", "{hub: {}}"))
    assert "architecture hub wants `weights`: the folder of a KerasHub preset" in message


def test_a_folder_of_something_else_is_no_weights(tmp_path: Path) -> None:
    text = f"{{VGG16: {{weights: {tmp_path}}}}}"
    message = refusal(tmp_path, GOOD.replace("{Embedded: {}}", text))
    assert "or a folder that holds a preset of KerasHub" in message
