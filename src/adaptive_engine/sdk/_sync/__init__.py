# Generated from _async/__init__.py by scripts/unasync.py. Edit that file, then run the script.
