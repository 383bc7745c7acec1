"""The rules: where a request goes, what an answer is, who may ask. No HTTP and no SQL."""
