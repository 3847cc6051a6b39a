"""Which sequence comes next, and why: budgets, stages, rounds, order, the ledger.

    losses ── controller ──> weights ── next_round ──> Round ──> ledger.jsonl
                                                         │
    position ── Apportionment ──> domain ── Epochs ──> documents ── Packing ──> Sequence     (Stream)

- `Mixture` (`weights`): exact weights in a tree of groups, sources and topics. `Domain` (`domains`): a leaf.
- `Plan` (`plan`): what will be trained on. `next_round` (`rounds`), `controllers/`, `governor`, `gates`, `limits`:
  decisions.
- `Ledger`, `Round` (`ledger`): what was decided, append-only. `Stream` (`stream`), `Apportionment` (`apportion`),
  `order`, `epochs`: from a position to tokens. `audit`, `account`: looking it up. `laws`, `solve`: mixtures from
  small runs.

Every prefix is within one sequence of the exact share:

>>> from fractions import Fraction
>>> from sapwood.mixture.apportion import Apportionment
>>> from sapwood.mixture.weights import Mixture
>>> mixture = Mixture({"web-zh": Fraction(1, 4), "web-en": Fraction(3, 4)}, {"web-zh": "zh", "web-en": "en"})
>>> [Apportionment(mixture, length=8).locate(slot)[0] for slot in range(4)]
['web-en', 'web-en', 'web-zh', 'web-en']
"""
