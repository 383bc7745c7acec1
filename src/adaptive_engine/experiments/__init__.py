"""Experiments: which arm answers (`assign`) and which arm is better (`judge`). Pure: no clock, no store, no models."""
