"""What can go wrong, worded for the person who has to mend it."""


class Refused(Exception):
    """It cannot begin: a setting, a credential or a table is not as it must be. The exit code is 2."""


class FileRefused(Exception):
    """One file cannot be loaded. The others are, and the exit code is 1."""


class Incomplete(FileRefused):
    """A file that is not whole, or not Parquet: it is looked at again when its size has changed."""


class Duplicates(Exception):
    """A score stands twice in the table. The exit code is 1, and a watch ends."""


class SourceAway(OSError):
    """The bucket does not answer, or refuses. A watch tries again."""
