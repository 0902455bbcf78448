"""Small file systems in files, and what may happen to one. Needs root, and a kernel with loop devices."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BYTES = 64 << 20


def _run(*words: str | Path) -> bool:
    if shutil.which(str(words[0])) is None:
        return False
    return subprocess.run([str(word) for word in words], capture_output=True, check=False).returncode == 0


class Disk:
    """An ext4 of its own at `folder`, unmounted at the end. Raises `skipped` where that is not allowed."""

    def __init__(self, image: Path, folder: Path, skipped: type[Exception]) -> None:
        self.image, self.folder = image, folder
        folder.mkdir()
        image.touch()
        os.truncate(image, BYTES)
        if not (_run("mkfs.ext4", "-q", "-F", image) and _run("mount", "-o", "loop", image, folder)):
            raise skipped("this user may not mount a file as a disk")

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, *_: object) -> None:
        _run("fsfreeze", "-u", self.folder)
        # Twice where a read-only mount was put over it.
        while os.path.ismount(self.folder) and _run("umount", "-l", self.folder):
            pass

    @contextmanager
    def fault(self, how: str) -> Iterator[None]:
        """What this disk is like inside of the block."""
        ballast = self.folder / "ballast"
        if how == "full":
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
        elif how == "read-only":
            # As the kernel does after an error of the disk, even with open files.
            _run("mount", "-o", "remount,ro", self.folder) or self._emergency()
        else:
            _run("fsfreeze", "-f", self.folder)
        try:
            yield
        finally:
            if how == "full":
                ballast.unlink()
            elif how == "read-only":
                _run("mount", "-o", "remount,rw", self.folder)
            else:
                _run("fsfreeze", "-u", self.folder)

    def _emergency(self) -> None:
        """Files are open for writing, so the mount itself becomes read-only instead: every new open fails."""
        _run("mount", "--bind", self.folder, self.folder) and _run("mount", "-o", "remount,bind,ro", self.folder)
