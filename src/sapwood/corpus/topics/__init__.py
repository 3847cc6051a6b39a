"""Topics: a few documents are labelled by a language model or by people, a small classifier labels all.

`taxonomy` says which topics there are; `label` asks a language model; `train` makes a classifier of the labels, a
`linear` one or a transformer `encoder`, and measures it; `apply` gives every document its topic.
"""
