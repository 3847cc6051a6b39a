"""Many small runs of one recipe, judged together: what a change of the recipe does, with seeds and intervals.

    study.yaml ──> plan ──> run: ARM × SEED, each a run of the pipeline ──> judge ──> page

- `Study` (`study`): the file: a base recipe, arms as fields that differ, seeds, what is judged, a budget.
- `Arm`, `Trial` (`trials`): a trial is a run of an arm with a seed. `StudyDirectory` (`directory`): where they lie.
- `plan_study` (`plan`): tokens, hours, the smallest effect that the design can show. `run_study` (`run`): all trials;
  each in a process of its own (`worker`), which takes the documents and tokens that others made (`share`).
- `report_study` (`report`): `Primary` (`primary`) metrics, judged over seeds as `Findings` (`judge`), with
  `trajectories`, on a `page`.
- `all_arms`, `Forecast` (`search`): mixtures that are drawn, and one that is solved for. `Certificate` (`transfer`):
  whether small models foretell a larger one.

>>> from sapwood.studies.study import Study
>>> study = Study.model_validate({"name": "replay", "base": "recipe.yaml", "arms": {"none": {}}, "primary": ["zh"]})
>>> study.seeds
[0, 1, 2]
"""
