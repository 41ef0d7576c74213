"""The errors that the command line shows as a single line: wrong input (exit status 2), a run that failed (1)."""

from __future__ import annotations


class UserError(Exception):
    """Say what in the user's input is wrong and what to do about it.

    The message names the file, the line or record, the field and the remedy. The command line prints it as the last line
    of stderr, ``kochat: error: ...``, and exits with status 2; no traceback is shown.
    """


class RunError(Exception):
    """Say why a run failed though its input was right, and what to try; exit status 1."""
