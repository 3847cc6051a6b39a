"""Documents in, token shards out; packed sequence *i* of a domain as a pure function.

    SourceStore ── encode_source ──> shards ── TokenStore ── Packing ──> ids [length], spans
                                                   (documents of an epoch, concatenated, cut into windows)

- `encode_source` (`shard`): texts to memory-mapped ids. `TokenStore` (`store`): all shards of a source as one list.
- `Packing`, `Epoch`, `Span` (`sequence`): windows into the concatenated documents, epoch after epoch. Nothing is
  copied.
- `read_column` (`store`): columns of corpus steps in the store's order, for ordering documents by a score.

Two documents of three and two tokens, the second one first; the window runs into the next epoch:

>>> import numpy as np
>>> from sapwood.tokens.sequence import Packing, Epoch
>>> class Store:
...     def copy(self, document, start, out):
...         out[:] = 10 * (document + 1) + np.arange(start, start + len(out))
>>> epoch = Epoch(np.array([1, 0], np.uint32), np.array([0, 2, 5]))
>>> ids, spans = Packing(Store(), 5, lambda number: epoch).sequence(start=3, length=4)
>>> ids.tolist(), [span.document for span in spans]
([11, 12, 20, 21], [0, 1])
"""
