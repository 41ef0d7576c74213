"""fit, validate, test and predict: build a run from YAML files with LightningCLI, name it after its config, write ``done.json`` last."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ActionConfigFile, ArgumentError, Namespace
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from kochat.config_errors import ConfigParser, explain
from kochat.data.datamodule import StageDataModule
from kochat.engine.answer_evaluation import rows_of
from kochat.engine.hparams_tab import hyperparameters, log_hyperparameters
from kochat.engine.inputs import Inputs
from kochat.engine.nan_guard import NaNGuard  # noqa: F401
from kochat.engine.progress_bar import RunProgressBar
from kochat.engine.rank_rows import gather_rows, write_rows
from kochat.engine.ranks import leave_process_group
from kochat.engine.run_records import fingerprint, repeated_run, run_record
from kochat.engine.stage_module import StageModule
from kochat.engine.token_rate import TokenRate
from kochat.engine.warnings_shown import quiet_libraries
from kochat.errors import UserError
from kochat.runs import ANSWERS_FILE, DONE_FILE, EMBEDDED_BASE, EXPORT_DIR, RunSpace, config_of, next_version
from kochat.stages import import_config_modules
from kochat.storage import write_json


class AlreadyFinished(Exception):
    """Raised if the requested run is already finished and `--skip_finished true` is set."""

    def __init__(self, run: Path) -> None:
        super().__init__(str(run))
        self.run = run


class RunConfig(SaveConfigCallback):
    """Write ``config.yaml``, the complete config of the run, into the run's folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "overwrite": True})


class KochatCLI(LightningCLI):
    """Parse, check and run one subcommand.

    Args:
        args: command-line arguments, without the program's name.
        progress_bar: False shows no bar, whatever the config says.
    """

    def __init__(self, args: ArgsType, *, progress_bar: bool = True) -> None:
        self._with_bar = progress_bar
        self._started = time.perf_counter()
        import_config_modules()  # jsonargparse finds a class by its bare name only among imported ones
        super().__init__(
            StageModule,
            StageDataModule,
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
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="A config; later configs replace its values."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options for the run's name and folder."""
        parser.add_argument(
            "--name", type=str | None, default=None, help="The run's name; if null, the first config's file stem."
        )
        parser.add_argument("--study", type=str | None, default=None, help="The study that the run belongs to.")
        parser.add_argument("--logs_dir", type=str, default="lightning_logs", help="The folder of all runs.")
        parser.add_argument(
            "--skip_finished", type=bool, default=False, help="Do nothing if the same run is already finished."
        )

    def before_instantiate_classes(self) -> None:
        """Set the run's name and the folder where runs are searched."""
        options = self.config[self.subcommand]
        configs = options.get("config") or []
        self.name = run_name(options)
        if self.name == EMBEDDED_BASE:
            raise UserError(
                f"--name {self.name}: this names the base model that kochat brings; give the run another name"
            )
        self.config_file = str(configs[0]) if configs else config_of(self.name)
        self.space = RunSpace(Path(options.logs_dir), options.study)

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; a UserError about a setting is raised as such, not as jsonargparse's ValueError."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise (error.__cause__ if isinstance(error.__cause__, UserError) else error) from None

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Check all inputs before any weights are loaded, then build the trainer with the run's loggers."""
        plain = json.loads(self.parser.dump(self.config, skip_none=False, format="json"))[self.subcommand]
        self.plain_config: dict[str, Any] = plain
        self.fingerprint = fingerprint(str(self.subcommand), plain, self.model, self.datamodule, self.space)
        if self.config[self.subcommand].skip_finished:
            self._stop_if_finished()
        self._check_inputs()
        given = self._get(self.config_init, "trainer").get("logger")
        if given is False:
            raise UserError("trainer.logger=false leaves the run without a folder; leave it out")
        more = given if isinstance(given, list) else [] if given in (None, True) else [given]
        kwargs["logger"] = [*self._loggers(), *more]
        self.trainer_defaults["callbacks"] = [TokenRate()]
        if not self._has_own_bar():
            shown = self._with_bar and self._get(self.config_init, "trainer").enable_progress_bar is not False
            kwargs["enable_progress_bar"] = shown
            self.trainer_defaults["callbacks"] += [RunProgressBar()] if shown and find_spec("rich") else []
        return super().instantiate_trainer(**kwargs)

    def _has_own_bar(self) -> bool:
        """Whether the config brings a progress bar."""
        given = self._get(self.config_init, "trainer").get("callbacks") or []
        return any(isinstance(callback, ProgressBar) for callback in (given if isinstance(given, list) else [given]))

    # Inputs

    def _check_inputs(self) -> None:
        """Raise one UserError for all missing inputs, each with the command that makes it; then give the module the paths of its models."""
        self._check_subcommand()
        trained = self._trained_run() if self._needs_trained() else None
        sources = {} if trained else self.model.sources()
        problems = [problem for field, value in sources.items() if (problem := self.space.missing_source(field, value))]
        if self._needs_trained() and trained is None:
            problems.append(
                f"no finished run {self.name!r} under {self.space.folder(self.name)}; "
                f"make it with: python -m kochat fit --config {self.config_file}"
            )
        problems += self.datamodule.missing_inputs()
        checkpoint = self.config[self.subcommand].get("ckpt_path")
        if checkpoint is not None and self._needs_trained():
            problems.append(
                f"ckpt_path: {self.subcommand} evaluates the export of the finished run; leave ckpt_path out"
            )
        elif checkpoint not in (None, "last", "best", "hpc", "registry") and not Path(checkpoint).is_file():
            problems.append(f"ckpt_path: no checkpoint {str(checkpoint)!r}; give a file under a run's checkpoints/")
        if problems:
            raise UserError("; ".join(problems))
        self.model.inputs = Inputs(self.space, trained)

    def _check_subcommand(self) -> None:
        """Raise UserError if the stage does not support the subcommand, or kochat the precision."""
        stage = self.model.stage
        if not stage.trains and self.subcommand == "fit":
            raise UserError(f"the {stage.name} is not trained: python -m kochat test --config {self.config_file}")
        if not stage.answers and self.subcommand == "predict":
            raise UserError(f"predict: {type(self.model).__name__} answers no prompts; use test")
        if str(self._get(self.config_init, "trainer").get("precision")) == "16-true":
            raise UserError(
                "trainer.precision=16-true overflows in float16 weights; give 16-mixed, bf16-mixed or 32-true"
            )

    def _needs_trained(self) -> bool:
        """Return whether the subcommand needs the weights of a finished run."""
        return self.subcommand != "fit" and self.model.stage.trains

    def _trained_run(self) -> Path | None:
        """Return the export of the newest finished run of this config, or None."""
        run = self.space.newest_finished(self.name)
        return run / EXPORT_DIR if run and (run / EXPORT_DIR).is_dir() else None

    # Folder and loggers

    def _folder_name(self) -> str:
        """Choose the run's folder: version_N for training and for the baseline, else SUBCOMMAND_N.

        Every rank chooses a name, but only the first rank writes; the others get its name from `Trainer.log_dir`.
        """
        folder = self.space.folder(self.name)
        if self._needs_trained():
            return f"{self.subcommand}_{len(list(folder.glob(f'{self.subcommand}_*')))}"
        return f"version_{next_version(folder)}"

    def _loggers(self) -> list[Any]:
        """Log to TensorBoard and to metrics.csv, in one folder."""
        folder = self.space.folder(self.name)
        place: dict[str, Any] = {"save_dir": str(folder.parent), "name": folder.name, "version": self._folder_name()}
        return [TensorBoardLogger(**place, default_hp_metric=False), CSVLogger(**place)]

    # Finished work

    def _stop_if_finished(self) -> None:
        run = repeated_run(self.space, self.name, self.fingerprint)
        if run is not None:
            raise AlreadyFinished(run)

    # Subcommands

    def _connect(self) -> None:
        """Connect the stage with its data, after all inputs were checked."""
        self.model.connect(self.datamodule)

    before_fit = before_validate = before_test = before_predict = _connect

    def after_fit(self) -> None:
        """Export the model, evaluate it on the frozen test set, and mark the run finished."""
        self._stop_if_interrupted()
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # nothing is logged or saved then
            return
        run = Path(self.trainer.log_dir)  # type: ignore[arg-type]
        metrics = dict(self.trainer.callback_metrics)
        if not self.model.validated:
            self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
            metrics |= self.trainer.callback_metrics
        if self.trainer.is_global_zero:
            self.model.export(run / EXPORT_DIR)
        self.trainer.strategy.barrier()
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        self._finish(run, metrics)

    def after_test(self) -> None:
        """Mark the evaluation of a stage that is not trained as a finished run."""
        if not self.model.stage.trains and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._finish(Path(self.trainer.log_dir), {})  # type: ignore[arg-type]

    def after_predict(self) -> None:
        """Write the answers of all ranks to ``answers.jsonl``, each prompt once."""
        rows = gather_rows([row for output in self.trainer.predict_loop.predictions for row in rows_of(output)])
        write_rows(self.trainer, rows, ANSWERS_FILE)

    def _stop_if_interrupted(self) -> None:
        if self.trainer.interrupted:
            sys.stderr.write(
                "kochat: interrupted; the run is not finished. The same command starts it from the beginning.\n"
            )
            raise SystemExit(130)

    def _finish(self, run: Path, metrics: dict[str, Any]) -> None:
        """Write ``done.json``, the last file of a run."""
        tokens = self.model.all_tokens_read()
        if not self.trainer.is_global_zero:
            return
        made = run_record(self.trainer, self.model, metrics | dict(self.trainer.callback_metrics), tokens)
        told = {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "seconds": round(time.perf_counter() - self._started, 1),
            "seed": self.config[self.subcommand].seed_everything,
        }
        settings = hyperparameters(self.plain_config, self.model, self.name)
        log_hyperparameters(self.trainer, settings, made["metrics"])
        for logger in self.trainer.loggers:
            logger.finalize("success")
        write_json(run / DONE_FILE, {"stage": made.pop("stage"), **told, **made})


def run_name(options: Namespace) -> str:
    """Return the name of a run from its parsed options: ``--name``, else the first config's name."""
    configs = options.get("config") or []
    return options.name or (Path(str(configs[0])).stem if configs else "run")


@dataclass(frozen=True)
class Ended:
    """How a subcommand ended.

    Args:
        folder: the run's folder; None on ranks other than the first (they share its terminal, and two lines at once would
            mix), and without a logger.
        skipped: the run was finished before, and nothing was done.
    """

    folder: Path | None
    skipped: bool = False


def run_subcommand(args: list[str], *, progress_bar: bool = True) -> Ended:
    """Run ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        args: command-line arguments, without the program's name.
        progress_bar: False shows no bar, whatever the config says.

    Raises:
        UserError: for anything wrong in the arguments, the configs or the inputs.
    """
    quiet_libraries()
    try:
        cli = KochatCLI(args, progress_bar=progress_bar)
    except AlreadyFinished as finished:
        return Ended(finished.run, skipped=True)
    except ArgumentError as error:
        raise UserError(explain(str(error), args)) from error
    except MisconfigurationException as error:
        raise UserError(f"trainer: {error}") from error
    leave_process_group()
    log_dir = cli.trainer.log_dir
    return Ended(Path(log_dir) if log_dir and cli.trainer.is_global_zero else None)
