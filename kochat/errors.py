"""The one error that means "your input is wrong": shown as a single line, exit status 2."""

from __future__ import annotations


class UserError(Exception):
    """Say what in the user's input is wrong and what to do about it.

    The message names the file, the line or record, the field and the remedy. The command line prints it as the last line
    of stderr, ``kochat: error: ...``, and exits with status 2; no traceback is shown.
    """
