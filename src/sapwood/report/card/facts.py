"""What the card says beyond the report: where the reading for it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapwood.backbone.contents import CONFIG
from sapwood.backbone.licence import Licence, read_licence
from sapwood.backbone.record import export_again
from sapwood.backbone.resolve import at_hand, default_cache, hub_name
from sapwood.errors import SapwoodError
from sapwood.evaluation.comparison import Comparison
from sapwood.files import read_json
from sapwood.recipe import Recipe, load_synthesis
from sapwood.report.run_view import RunView
from sapwood.runs.directory import RunDirectory
from sapwood.runs.manifest import Manifest, read_manifest

_DATASET = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Everything that the card says."""

    run: RunView
    base_model: str | None
    """The base model's name on the hub, if it was taken from there."""
    licence: Licence | None
    """The base model's, where its files state one."""
    comparisons: tuple[Comparison, ...]
    """The adapted model against the base model, suite by suite."""
    datasets: tuple[str, ...]
    """Names on the hub of data sets that were trained on."""
    items: Mapping[str, Manifest]
    """What was made for sources of synthetic items."""
    generators: Mapping[str, str]
    """The models that wrote items, by source, where their jobs are still there."""
    dtype: str
    """What the weights are stored in."""
    has_chat_template: bool

    @property
    def trained(self) -> list[str]:
        """The sources that were trained on."""
        return [account.name for account in self.run.account.sources if account.stock.trained]

    @property
    def languages(self) -> list[str]:
        """Of these, as far as the recipe says."""
        named = {self.run.recipe.sources[name].language for name in self.trained}
        return sorted(language for language in named if language)


def read_card_facts(recipe: Recipe, run: Path) -> CardFacts:
    """Reads the directory of a run of `recipe`, and what is at hand of its base model.

    Raises SapwoodError when its ledger was changed by hand, or a suite is not there any more.
    """
    facts = RunView(recipe, RunDirectory(run))
    trained = [account.name for account in facts.account.sources if account.stock.trained]
    files = [file for name in trained for file in recipe.sources[name].files]
    items = {name: read_manifest(facts.run.synthesis(name)) for name in trained}
    config = _config(facts.run)
    return CardFacts(
        run=facts,
        base_model=hub_name(recipe.model),
        licence=_licence(recipe.model),
        comparisons=tuple(facts.benchmarks),
        datasets=tuple(dict.fromkeys(match["name"] for file in files if (match := _DATASET.match(file)))),
        items={name: manifest for name, manifest in items.items() if manifest is not None},
        generators={name: label for name in trained if (label := _generator(recipe.sources[name].synthesis))},
        dtype=config.get("dtype") or config.get("torch_dtype") or "float32",
        has_chat_template=_has_chat_template(facts.run.model),
    )


def _licence(model: str) -> Licence | None:
    try:
        directory = at_hand(model, default_cache())
    except SapwoodError:
        return None
    return None if directory is None else read_licence(directory)


def _generator(job: str | None) -> str | None:
    path = Path(job or "")
    return load_synthesis(path).server.label if path.is_file() else None


def _config(run: RunDirectory) -> dict[str, Any]:
    path = run.model / CONFIG
    return dict(read_json(path, export_again(run.model))) if path.exists() else {}


def _has_chat_template(model: Path) -> bool:
    settings = model / "tokenizer_config.json"
    inside = settings.exists() and bool(read_json(settings, export_again(model)).get("chat_template"))
    return inside or (model / "chat_template.jinja").exists()
