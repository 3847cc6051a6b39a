"""What a recipe means in numbers, checked before it costs anything."""

from __future__ import annotations

from pathlib import Path

from sapwood.mixture.plan import Plan
from sapwood.pipeline.handle import Run, open_run
from sapwood.recipe import Recipe


def plan(recipe: Run | Recipe | str | Path) -> Plan:
    """What the recipe will train on: stages, sources, tokens, epochs. Printed, it is a tree. Costs and changes nothing.

    Raises SapwoodError, which lists everything with its line, where something in the recipe, or missing on this
    machine, will stop the run.
    """
    from sapwood.pipeline.preflight import checked_plan

    run = open_run(recipe)
    return checked_plan(run.recipe, run.directory, run.file, "plan")
