"""What the engine sees: images to tiles, tiles to vectors in the place of tokens.

A family is a file here, which says how an image becomes tiles and tokens; `family.py` has the table of them.
"""
