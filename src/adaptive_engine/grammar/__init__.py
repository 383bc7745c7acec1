"""Structured output: a JSON schema becomes masks over a model's tokens, and what cannot be masked is said.

Start reading at `schemas.py`. Only `masks.py` knows llguidance.
"""
