"""Pages that people look at: the report of a run, its data, several runs; the model card; a run while it trains.

    run directory ── RunView ── sections ──> template ── page ──> report.html
                         └── card/ ──> model/README.md

- `run_view`: a run directory, opened for reading part by part. `wording`: numbers in words. `table`: every table, in
  three forms, of cells that know their number and its text. `judged`: what was judged, as tables.
- `sections`, `mixture`, `benchmarks`, `heat`, `cost`: what a section shows. `plots`, `multiples`, `plane`, `axes`:
  figures.
- `page`, `html`: the run's page. `data/`, `synthesis/`, `comparison/`, `merge`: other pages. `card/`: the model card.
- `follow`, `standing`, `terminal`: a run while it trains.

>>> from sapwood.report.wording import short, signed
>>> short(92_500_000_000), signed(0.0102)
('92.5B', '+0.010')
"""
