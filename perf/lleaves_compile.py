"""Compiles a LightGBM model with lleaves into two shared libraries: for one row a call, and for batches.

Called by `prepare.py` in a venv of its own: lleaves needs an old llvmlite. Arguments: model, single, batch.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import lleaves

INLINED_BYTES_MAX = 5_000_000


def compile_library(model_file: str, library: Path, **options: int | bool) -> None:
    assembled = library.with_suffix(".o")
    assembled.unlink(missing_ok=True)
    lleaves.Model(model_file=model_file).compile(cache=assembled, raw_score=True, **options)
    subprocess.run(["gcc", "-shared", "-o", library, assembled], check=True)


if __name__ == "__main__":
    model_file, single, batch = sys.argv[1:]
    if Path(model_file).stat().st_size > INLINED_BYTES_MAX:
        # LLVM had not compiled 500 trees of 255 leaves after 7 minutes of processor time when their functions were
        # inlined, nor after 4 in blocks.
        compile_library(model_file, Path(batch), finline=False)
        shutil.copy(batch, single)
    else:
        # lleaves' own advice: no blocks for single rows. Its default for batches is 34 trees a block.
        compile_library(model_file, Path(batch))
        compile_library(model_file, Path(single), fblocksize=lleaves.Model(model_file=model_file).num_trees())
