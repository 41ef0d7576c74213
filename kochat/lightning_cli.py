"""fit, validate, test and predict: LightningCLI composing a run from YAML pieces, named after its config, finished by ``done.json``."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ActionConfigFile, ArgumentError
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from kochat import runs
from kochat.config_errors import ConfigParser, explain
from kochat.data.datamodule import ChatDataModule
from kochat.data.files import sha256_of
from kochat.engine.answer_evaluation import rows_of  # a config may name our callbacks by their class alone
from kochat.engine.nan_guard import NaNGuard  # noqa: F401 - a config may name our classes by their name alone
from kochat.engine.provenance import environment
from kochat.engine.rank_rows import gather_rows, write_jsonl
from kochat.engine.stage_module import ChatModule
from kochat.errors import UserError
from kochat.stages.ppo.data import PromptDataModule  # noqa: F401
from kochat.stages.ppo.module import PPOModule  # noqa: F401
from kochat.stages.pretrain.data import CorpusDataModule  # noqa: F401
from kochat.stages.pretrain.module import PretrainModule  # noqa: F401
from kochat.stages.reward_model.data import PreferenceDataModule  # noqa: F401
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.reward_model.preference_scores import PreferenceScores  # noqa: F401
from kochat.stages.reward_model.reward_evaluation import RewardEvaluation  # noqa: F401
from kochat.stages.sft.data import SFTDataModule  # noqa: F401
from kochat.stages.sft.module import BaselineModule

_VERSION_VARIABLE = "KOCHAT_RUN_VERSION"  # set by the first rank, inherited by the ranks that Lightning launches
_EXPECTED_WARNINGS = (
    ".*args parameter is intended to run from within Python.*",  # the study gives its runs' arguments itself
    ".*does not have many workers.*",  # batches are cheap to make beside a step
    ".*Experiment logs directory.*exists.*",  # TensorBoard's files stand beside metrics.csv
    ".*Checkpoint directory.*exists.*",
    ".*module.s. in eval mode at the start of training.*",  # meant: dropout is off in every role
    ".*is_gradient_checkpointing. is deprecated.*",  # PEFT asks transformers by its old name
    ".*isinstance.treespec, LeafSpec.*",
)
_NO_PART_OF_A_RUN = ("config", "study", "logs_dir", "skip_finished", "ckpt_path", "verbose")


class AlreadyFinished(Exception):
    """Raised where the run that is asked for is finished already and `--skip_finished true` is set."""

    def __init__(self, run: Path) -> None:
        super().__init__(str(run))
        self.run = run


class RunConfig(SaveConfigCallback):
    """Write ``config.yaml``, everything that the run was made with, into the run's folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "overwrite": True})


class KochatCLI(LightningCLI):
    """Parse, check and run one subcommand.

    Args:
        args: command-line arguments, without the program's name.
        stack: closed when the command is done; leaves the run space.
    """

    def __init__(self, args: ArgsType, stack: ExitStack) -> None:
        self._stack = stack
        self._started = time.perf_counter()
        super().__init__(
            ChatModule,
            ChatDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            save_config_callback=RunConfig,
            seed_everything_default=0,
            parser_kwargs={"exit_on_error": False, "prog": "python -m kochat"},
            args=args,
        )

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser whose errors name the config file."""
        parser = ConfigParser(**{"dump_header": [f"lightning.pytorch=={L.__version__}"], **kwargs})
        parser.add_argument("-c", "--config", action=ActionConfigFile, help="A config; give more to overlay it.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what names and places a run."""
        parser.add_argument(
            "--name", type=str | None, default=None, help="The run's name; the first config's stem if null."
        )
        parser.add_argument("--study", type=str | None, default=None, help="The study that the run belongs to.")
        parser.add_argument("--logs_dir", type=str, default="lightning_logs", help="The folder of all runs.")
        parser.add_argument(
            "--skip_finished", type=bool, default=False, help="Do nothing if this very run is finished."
        )

    def before_instantiate_classes(self) -> None:
        """Name the run and enter its run space, so that run names in the config resolve."""
        options = self.config[self.subcommand]
        configs = options.get("config") or []
        self.name = options.name or (Path(str(configs[0])).stem if configs else "run")
        self._stack.enter_context(runs.run_space(options.logs_dir, options.study))

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; what their constructors say about a value is the user's to mend."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise (error.__cause__ if isinstance(error.__cause__, UserError) else error) from None

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Check all inputs before a weight is touched, then build the trainer with the run's loggers."""
        self.fingerprint = self._fingerprint()
        if self.config[self.subcommand].skip_finished:
            self._stop_if_finished()
        self._check_inputs()
        given = self._get(self.config_init, "trainer").get("logger")
        if given is False:
            raise UserError("trainer.logger=false leaves the run without a folder; leave it out")
        more = given if isinstance(given, list) else [] if given in (None, True) else [given]
        kwargs["logger"] = [*self._loggers(), *more]
        return super().instantiate_trainer(**kwargs)

    # Inputs

    def _check_inputs(self) -> None:
        """List all missing inputs together, each with the command that makes it."""
        self._check_subcommand()
        trained = self._trained_run() if self._needs_trained() else None
        sources = {} if trained else self.model.sources()
        problems = [problem for field, value in sources.items() if (problem := runs.missing_source(field, value))]
        if self._needs_trained() and trained is None:
            problems.append(
                f"no finished run {self.name!r} under {runs.current_space().folder(self.name)}; "
                f"make it with: python -m kochat fit --config {runs.config_of(self.name)}"
            )
        problems += self.datamodule.missing_inputs()
        checkpoint = self.config[self.subcommand].get("ckpt_path")
        if checkpoint not in (None, "last", "best", "hpc", "registry") and not Path(checkpoint).is_file():
            problems.append(f"ckpt_path: no checkpoint {str(checkpoint)!r}; give a file under a run's checkpoints/")
        if problems:
            raise UserError("; ".join(problems))
        self.model.trained_export = trained

    def _check_subcommand(self) -> None:
        if isinstance(self.model, BaselineModule) and self.subcommand == "fit":
            raise UserError(f"the baseline is not trained: python -m kochat test --config {runs.config_of(self.name)}")
        if isinstance(self.model, RewardModule) and self.subcommand == "predict":
            raise UserError("predict: a reward model answers no prompts; test scores its held-out records")

        if str(self._get(self.config_init, "trainer").get("precision")) == "16-true":
            raise UserError(
                "trainer.precision=16-true overflows in float16 weights; give 16-mixed, bf16-mixed or 32-true"
            )

    def _needs_trained(self) -> bool:
        """Tell whether the subcommand wants trained weights."""
        return self.subcommand != "fit" and not isinstance(self.model, BaselineModule)

    def _trained_run(self) -> Path | None:
        """Find the newest finished export of this config."""
        run = runs.newest_finished(self.name)
        return run / runs.EXPORT_DIR if run and (run / runs.EXPORT_DIR).is_dir() else None

    # Folder and loggers

    def _folder_name(self) -> str:
        """Choose the run's folder: version_N for what makes a model (or the baseline), else one named after the subcommand."""
        folder = runs.current_space().folder(self.name)
        if self.subcommand != "fit" and self._needs_trained():
            return f"{self.subcommand}_{len(list(folder.glob(f'{self.subcommand}_*')))}"
        return f"version_{runs.next_version(folder)}"

    def _loggers(self) -> list[Any]:
        """Log to TensorBoard and to metrics.csv, in one folder on all ranks."""
        folder = runs.current_space().folder(self.name)
        version = os.environ.get(_VERSION_VARIABLE) or self._folder_name()
        os.environ[_VERSION_VARIABLE] = version
        self._stack.callback(os.environ.pop, _VERSION_VARIABLE, None)
        place: dict[str, Any] = {"save_dir": str(folder.parent), "name": folder.name, "version": version}
        return [TensorBoardLogger(**place, default_hp_metric=False), CSVLogger(**place)]

    # Finished work

    def _fingerprint(self) -> str:
        """Digest everything that the run's result follows from: config, data files, and the runs that it starts from."""
        config = self.parser.dump(self.config, skip_none=False, format="json")
        content = {k: v for k, v in json.loads(config)[self.subcommand].items() if k not in _NO_PART_OF_A_RUN}
        upstream = {field: _source_fingerprint(value) for field, value in self.model.sources().items()}
        data = {path.name: sha256_of(path)[:16] for path in self.datamodule.used_files() if path.is_file()}
        text = json.dumps([self.subcommand, content, upstream, data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _stop_if_finished(self) -> None:
        run = runs.newest_finished(self.name)
        if run is None or run.parent != runs.current_space().folder(self.name):  # one outside the study is another run
            return
        if runs.read_done(run).get("fingerprint") == self.fingerprint:
            raise AlreadyFinished(run)

    # Subcommands

    def after_fit(self) -> None:
        """Export the model, evaluate it on the frozen test set, and mark the run finished."""
        self._stop_if_interrupted()
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # nothing is logged or saved then
            return
        run = Path(self.trainer.log_dir)  # type: ignore[arg-type]
        metrics = dict(self.trainer.callback_metrics)
        if isinstance(self.model, RewardModule) and self.model.measured_at != self.trainer.global_step:
            self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
            metrics |= self.trainer.callback_metrics
        if self.trainer.is_global_zero:
            self.model.export(run / runs.EXPORT_DIR)
        self.trainer.strategy.barrier()
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        self._finish(run, metrics)

    def after_test(self) -> None:
        """Mark a baseline's evaluation as a finished run."""
        if isinstance(self.model, BaselineModule):
            self._finish(Path(self.trainer.log_dir), {})  # type: ignore[arg-type]

    def after_predict(self) -> None:
        """Write the answers of all ranks, each prompt once."""
        rows = gather_rows([row for output in self.trainer.predict_loop.predictions for row in rows_of(output)])
        folder = self.trainer.log_dir  # a collective call: every rank makes it
        if self.trainer.is_global_zero and folder is not None:
            write_jsonl(Path(folder) / "answers.jsonl", rows)

    def _stop_if_interrupted(self) -> None:
        if self.trainer.interrupted:
            sys.stderr.write(
                "kochat: interrupted; the run is not finished and starts over when the command is given again\n"
            )
            raise SystemExit(130)

    def _finish(self, run: Path, metrics: dict[str, Any]) -> None:
        """Write ``done.json``, the last file of a run."""
        tokens = self.model.all_tokens_read()
        if not self.trainer.is_global_zero:
            return
        metrics = metrics | dict(self.trainer.callback_metrics)
        parameters = list(self.model.parameters())
        done = {
            "stage": self.model.stage,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "seconds": round(time.perf_counter() - self._started, 1),
            "seed": self.config[self.subcommand].seed_everything,
            "steps": self.trainer.global_step,
            "tokens": tokens,
            "parameters": {
                "total": sum(p.numel() for p in parameters),
                "trainable": sum(p.numel() for p in parameters if p.requires_grad),
            },
            "metrics": {name: float(value) for name, value in sorted(metrics.items())},
            "environment": environment(),
        }
        for logger in self.trainer.loggers:
            logger.finalize("success")
        runs.write_json(run / runs.DONE_FILE, done)


def _source_fingerprint(value: str) -> str:
    """Digest a model input: a run's own fingerprint, or its name where there is none."""
    source = runs.find_source(value)
    run = source.directory.parent if source and source.directory else None
    return str(runs.read_done(run).get("fingerprint")) if run and (run / runs.DONE_FILE).is_file() else value


def run_subcommand(args: list[str]) -> Path | None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``; return the run's folder (also when it was finished before).

    Ranks other than the first return None: they share its terminal, and two lines at once would mix.

    Raises:
        UserError: for anything wrong in the arguments, the configs or the inputs.
    """
    _quiet_libraries()
    with ExitStack() as stack:
        try:
            cli = KochatCLI(args, stack)
        except AlreadyFinished as finished:
            return finished.run
        except ArgumentError as error:
            raise UserError(explain(str(error), args)) from error
        except MisconfigurationException as error:
            raise UserError(f"trainer: {error}") from error
        log_dir = cli.trainer.log_dir
        return Path(log_dir) if log_dir and cli.trainer.is_global_zero else None


def _quiet_libraries() -> None:
    """Keep the libraries' hints and progress out of the way of ours; warnings that matter stay."""
    import logging
    import warnings

    import transformers

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for pattern in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", pattern)
