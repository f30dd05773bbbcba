"""How properties are tried: the same examples in every run, and as many others as `make fuzz` asks for."""

import os

from hypothesis import settings

# Two busy cores make any single example slow once in a while; that says nothing about the property.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("other", deadline=None)
settings.load_profile("other" if "FUZZ_EXAMPLES" in os.environ else "same")
