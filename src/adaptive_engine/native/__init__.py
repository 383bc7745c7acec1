"""Our own runtime for decoder-only transformers with quantised weights: a library in C, and what Python needs of it.

`decoder.c` runs the steps, `kernels_*.c` has the products for kinds of CPUs. `library.py` calls them, `weights.py`
reads and writes the file that they compute from, whose tiles `tiles.py` makes.
"""

FILE = "native_model.safetensors"
"""What a directory has whose model runs natively."""
