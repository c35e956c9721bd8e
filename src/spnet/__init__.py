"""Person search with the Swap Path Network: find every person in a gallery of scenes, ranked against one query.

The public names stand with their types in `__init__.pyi`; each is imported when it is first asked for, so that the
command line answers quickly.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
