"""A second reading of saga-semantics, and the machine that holds the engine against it.

`trees`, `paths`, `facts`, `choice`, `services` and `promises` were written from the document
alone and know nothing of the product. `writing`, `observing` and `world` stand between them and
the engine. docs/proof.md says how they are run and what they caught.
"""
