"""Whether a step dropped most of a source, which is seldom meant: a wrong language, a filter for other text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sapwood.corpus.store import DOCUMENTS, LANGUAGE, SourceStore
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Source

SHOWN_REASONS = 3
"""The most frequent reasons are named."""


def refuse_losses(
    sources: Mapping[str, Source], stores: Mapping[str, SourceStore], steps: Mapping[str, Sequence[str]]
) -> None:
    """Raises SapwoodError where a step dropped a larger share of what it was given than `max_dropped` of the source.

    `steps` are those of each source that are done and judge its documents, but for the trim, which drops the share that
    the recipe states.
    """
    found = [line for name, source in sources.items() for line in _of_source(name, source, stores[name], steps[name])]
    if found:
        raise SapwoodError(
            "\n".join(found) + "\nThat is most of a source, and seldom meant. Put it right in the recipe; where it is "
            "meant, write `max_dropped` as above under the source, or give --yes. What is prepared is kept, and the "
            "same command continues."
        )


def _of_source(name: str, source: Source, store: SourceStore, steps: Sequence[str]) -> Iterator[str]:
    for step in (DOCUMENTS, *steps):
        manifest = store.manifest(step)
        names = ("documents_read", "quarantined") if step == DOCUMENTS else ("documents", "dropped")
        given, dropped = (manifest.counts[count] for count in names)
        if dropped <= given * source.max_dropped:
            continue
        reasons = sorted(manifest.reasons.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{reason} ({count:,})" for reason, count in reasons[:SHOWN_REASONS])
        what = "rows could not be read" if step == DOCUMENTS else f"documents were dropped by the step '{step}'"
        needed = -(-100 * dropped // given)
        hint = f". Is `language: {source.language}` right?" if step == LANGUAGE else "."
        yield (f"sources.{name}: {dropped:,} of {given:,} {what}: {told}{hint} To go on: `max_dropped: {needed}%`")
