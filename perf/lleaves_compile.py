"""Compiles a LightGBM model with lleaves into two shared libraries: for one row a call, and for batches.

Called by `prepare.py` in a venv of its own: lleaves needs an old llvmlite. Arguments: model, single, batch.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import lleaves

UNBLOCKED_BYTES_MAX = 5_000_000


def compile_library(model_file: str, library: Path, **options: int) -> None:
    assembled = library.with_suffix(".o")
    assembled.unlink(missing_ok=True)
    lleaves.Model(model_file=model_file).compile(cache=assembled, raw_score=True, **options)
    subprocess.run(["gcc", "-shared", "-o", library, assembled], check=True)


if __name__ == "__main__":
    model_file, single, batch = sys.argv[1:]
    compile_library(model_file, Path(batch))
    # lleaves' own advice: no blocks for single rows; its default for batches is 34 trees a block. But without blocks
    # all trees are one function, and LLVM needs more than 7 minutes of processor time for 500 trees of 255 leaves.
    if Path(model_file).stat().st_size > UNBLOCKED_BYTES_MAX:
        shutil.copy(batch, single)
    else:
        compile_library(model_file, Path(single), fblocksize=lleaves.Model(model_file=model_file).num_trees())
