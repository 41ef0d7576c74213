"""The errors that the command line shows in one line: wrong input (exit status 2) and a failed run (exit status 1)."""

from __future__ import annotations


class UserError(Exception):
    """An error in the user's input; the message says what is wrong and how to correct it.

    The message names the file, the line or record, the field and the remedy. The command line prints it as the last line
    of stderr, ``kochat: error: ...``, and exits with status 2; no traceback is shown.
    """


class RunError(Exception):
    """A run failed although its input was correct; the message says why and what to try. Exit status 1."""
