"""A page on which people move through what models have learnt: served to this machine's browser."""
