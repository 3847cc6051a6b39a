"""The base model: a reference in; a Hugging Face directory, a tokenizer and a torch model out; and back.

    hub name, path, GGUF ── resolve ──> directory ── load ──> torch model ── training ──> export ──> directory
                                            └─────── open_tokenizer, Encoder

- `resolve` (`resolve`), `convert` (`gguf`): from a reference to a directory. `load_model` (`load`): no code in it is
  run.
- `ModelTokenizer` (`tokenizer`): what begins and ends texts. `Encoder` (`encode`): texts to ids, by the fastest
  tokenizer that gives the reference's ids.
- `observed` (`observe`), `build_small` (`small`), `ModelTraits` (`traits`): what a model does, tried on a small one.
- `export` (`export`): a trained state as an ordinary directory. `expand` (`expand`): more blocks. `vocabulary/`: more
  pieces.

Block expansion copies blocks at even distances; which is which, and whether it is new:

>>> from sapwood.backbone.expand import block_order
>>> block_order(4, 2)
[(0, False), (1, False), (1, True), (2, False), (3, False), (3, True)]
"""
