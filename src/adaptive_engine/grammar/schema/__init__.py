"""JSON schemas as data: checked, and rewritten into what masks can enforce. Knows no masks, tokens or processes.

lint.py        limits, shapes, references, contradictions
normalise.py   the rewriting; `modern.py` brings all drafts to one spelling first
algebra.py     "not this schema" and, with `proofs.py`, "these two have nothing in common"
patterns.py    regular expressions from ECMA-262's dialect to the engine's, with `ecma.py` and `automata.py`
"""
