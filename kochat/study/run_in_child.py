"""What the process of one run does. The fork server imports this file, and with it all that a run needs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import connection

import torch

from kochat.errors import RunError, UserError
from kochat.lightning_cli import run_subcommand
from kochat.stages import import_config_modules
from kochat.study.run_processes import INTERRUPTED, Started

import_config_modules()  # once in the server, not in each run


def run_and_send(tells: connection.Connection, run: Started, device: str | None, threads: int) -> None:
    """Run a run, and send its `kochat.lightning_cli.Ended`, or the UserError or RunError that ended it.

    Args:
        tells: where to send it.
        run: the run.
        device: the only GPU that the run may see; None leaves all.
        threads: number of threads of torch, as in the study's process.
    """
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device  # CUDA reads it when it is first used, which is in the run
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    try:
        tells.send(run_subcommand(list(run.args), progress_bar=run.progress_bar))
    except (UserError, RunError) as error:
        tells.send(error)
    except KeyboardInterrupt:  # before Lightning, which handles it itself, has begun
        sys.exit(INTERRUPTED)


def _end_with_the_study() -> None:
    """Wait for the end of the study's process, and then end this one: a study that was killed must not go on in the background."""
    study = multiprocessing.parent_process()
    if study is not None:
        connection.wait([study.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
