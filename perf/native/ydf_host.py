"""Runs `ydf.cpp` where YDF's C++ library can live: in a Python that has loaded the extension.

Python is idle after that. Arguments: the shared library of `ydf.cpp` and `host.c`, and what the host wants.
"""

import ctypes
import sys

import ydf  # noqa: F401 - its symbols are what the library below needs

host = ctypes.CDLL(sys.argv[1]).host_main
arguments = [word.encode() for word in sys.argv[1:]]
sys.exit(host(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments)))
