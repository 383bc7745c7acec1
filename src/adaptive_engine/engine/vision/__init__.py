"""What the engine sees: pictures to tiles, tiles to vectors in the place of tokens.

A family is a file here, which says how a picture becomes tiles and tokens; `family.py` has the table of them.
"""
