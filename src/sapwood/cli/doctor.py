"""`sapwood doctor`: what this machine can do, and what to change about it."""

from __future__ import annotations

from sapwood.cli.common import RUNS, RunsOption
from sapwood.cli.output import Output
from sapwood.report.table import Table


def doctor(runs: RunsOption = RUNS) -> None:
    """Look at this machine: GPU, driver, attention kernels, compiler, sandbox, limits, disk, versions that misbehave.

    64 MiB are written to the disk of the directory of runs, and removed.
    """
    from sapwood.pipeline.doctor import doctor as look  # it imports torch

    table = Table("what", "found", "what to do", folded=("found", "what to do"))
    for finding in look(runs):
        table.add(finding.what, finding.found, finding.remedy, tone="warning" if finding.remedy else "")
    Output().print(table)
