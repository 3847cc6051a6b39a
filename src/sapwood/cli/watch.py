"""`sapwood watch`: a run as it goes."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from sapwood.errors import SapwoodError
from sapwood.progress import Screen
from sapwood.report.follow import Follower
from sapwood.report.terminal import picture

LOCAL_SECONDS = 1.0
REMOTE_SECONDS = 5.0
"""How often the run is looked at, on this machine and elsewhere."""

RunAddress = Annotated[
    str, typer.Argument(metavar="RUN", help="The directory of a run; also elsewhere, such as s3://bucket/runs/demo.")
]
OnceOption = Annotated[bool, typer.Option("--once", help="Print how the run stands now, and end.")]


def watch(run: RunAddress, once: OnceOption = False) -> None:
    """Follow a run: progress, losses, speed, what was decided and why. Ends when the run does; reads only."""
    console = Screen()
    follower = Follower(run)
    if once or not console.is_terminal:
        console.print(picture(follower.look(), console.width))
        return
    standing = follower.look()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        trouble = ""
        while not standing.finished:
            height = console.height - bool(trouble)
            shown = picture(standing, console.width, height)
            live.update(Group(Text(trouble, style="red"), shown) if trouble else shown, refresh=True)
            time.sleep(LOCAL_SECONDS if follower.is_local else REMOTE_SECONDS)
            try:
                standing, trouble = follower.look(), ""
            except SapwoodError as error:
                trouble = str(error).splitlines()[0][: console.width]
    console.print(picture(standing, console.width))
