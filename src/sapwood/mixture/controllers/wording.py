"""What decisions say of themselves, in words that can be read without the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

SHOWN = 4
"""The largest movers are named one by one; of the others there is a summary."""
UNJUDGED = "too little is held out to measure a change."
NO_ROOM = "Nothing moves: the proposed change is less than 0.01 points, or beyond a floor, a cap or a step."


def explain(
    before: Mapping[str, Fraction], after: Mapping[str, Fraction], causes: Mapping[str, str], limits: Mapping[str, str]
) -> tuple[str, ...]:
    """One sentence for each of the largest movers, and a summary of the others.

    `causes` are half sentences by sibling that was judged; the others keep their shares, and a last sentence names
    them. `limits` say of siblings which bound they have reached.
    """
    moves = {name: after[name] - share for name, share in before.items() if after[name] != share}
    if sum(share > 0 for share in before.values()) < 2:
        return ("Nothing moves: there is nothing to share out between.",)
    unjudged = sorted(name for name, share in before.items() if share > 0 and name not in causes)
    kept = (
        (f"{listed(unjudged)} {'keep their' if len(unjudged) > 1 else 'keeps its'} share: {UNJUDGED}",)
        if unjudged
        else ()
    )
    if not moves:
        return (NO_ROOM, *kept)
    movers = sorted(moves, key=lambda name: (-abs(moves[name]), moves[name] < 0, name))
    sentences = []
    for name in movers[:SHOWN]:
        limit = f" ({limits[name]})" if name in limits else ""
        sentences.append(f"{name} {moved(moves[name], after[name])}{limit}: {causes[name]}.")
    if rest := movers[SHOWN:]:
        largest = float(abs(moves[rest[0]]) * 100)
        sentences.append(f"{len(rest)} more move{'s' if len(rest) == 1 else ''} by at most {largest:.2f} points.")
    return (*sentences, *kept)


def cause(direction: Fraction, signal: float, fact: str, now: float | None = None) -> str:
    """A half sentence: the fact alone where it is why a share moved, or else that others are.

    `signal` is what moves the share, up or down; `now` what this round alone says, where earlier ones are in `signal`.
    """
    if now is not None and signal and now * signal <= 0:
        fact = f"earlier rounds count too; {fact}"
    if direction * signal > 0:
        return fact
    return f"takes up what others give; {fact}" if direction > 0 else f"makes room for others; {fact}"


def moved(move: Fraction, share: Fraction) -> str:
    """`+0.8 points to 6.1%`."""
    return f"{points(move)} points to {percent(share, 1 if abs(move) >= Fraction(1, 1000) else 2)}"


def points(move: Fraction) -> str:
    """A change of a share in points of a hundred, with two decimals where it is small: `+0.8`, `−0.02`."""
    text = f"{float(move * 100):+.{1 if abs(move) >= Fraction(1, 1000) else 2}f}"
    return text.replace("-", "−")


def percent(share: Fraction, decimals: int = 1) -> str:
    """`6.1%`."""
    return f"{float(share * 100):.{decimals}f}%"


def from_to(before: float, after: float) -> str:
    """Two numbers with as many digits, three or more, as it takes to tell them apart: `from 12.3 to 12.9`."""
    for digits in range(3, 8):
        first, second = (f"{value:#.{digits}g}".rstrip(".") for value in (before, after))
        if first != second:
            break
    return f"from {first} to {second}"


def by_more_than(errors: float) -> str:
    """` by more than 2 standard errors`, to be put behind a verb; nothing where no errors are asked for."""
    return f" by more than {errors:g} standard error{'' if errors == 1 else 's'}" if errors else ""


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first three of many: `a`, `a and b`, `a, b, c and 4 more`."""
    parts = [*names[:3], f"{len(names) - 3} more"] if len(names) > 3 else list(names)
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
