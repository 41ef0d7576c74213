"""TensorBoard's HPARAMS tab: a run's settings and its last figures, once, in the run's own folder."""

import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from kochat.engine.hparams_tab import hyperparameters, log_hyperparameters
from kochat.nn.adapters import LoraSettings
from kochat.stages.ppo.module import PPOModule
from kochat.stages.sft.module import SFTModule
from tests.stages.harness import trainer, write_stage

TRAINER = {"max_epochs": 3, "max_steps": -1, "precision": "32-true", "logger": None, "callbacks": [{"class_path": "A"}]}


def hparams_of(folder):
    """Return the settings that the HPARAMS tab reads from a run's folder."""
    found = {}
    for path in folder.glob("events.*"):
        events = EventAccumulator(str(path)).Reload()
        for tag, content in events.summary_metadata.items():
            if tag.endswith("session_start_info"):
                data = plugin_data_pb2.HParamsPluginData.FromString(content.plugin_data.content)
                kinds = data.session_start_info.hparams.items()
                found |= {name: getattr(value, value.WhichOneof("kind")) for name, value in kinds}
    return found


def config_of(**model):
    data = {"class_path": "D", "init_args": {"version": "v2", "data_dir": "/some/where"}}
    return {"seed_everything": 3, "trainer": TRAINER, "model": {"init_args": model}, "data": data}


def test_settings_have_their_names_on_the_command_line(base):
    config = config_of(
        learning_rate=1e-3, lora={"rank": 8, "targets": ["q", "v"]}, stop_tokens=None, reward_ensemble=[]
    )
    assert hyperparameters(config, SFTModule(base=str(base), lora=LoraSettings(8)), "mine") == {
        "run": "mine", "stage": "sft", "seed": 3, "model.learning_rate": 1e-3, "model.lora.rank": 8,
        "model.lora.targets": "['q', 'v']", "data.version": "v2", "trainer.max_epochs": 3, "trainer.max_steps": -1,
        "trainer.precision": "32-true",
    }  # fmt: skip


def test_ppo_has_the_rank_of_its_sft_model(tmp_path, base, tokenizer):
    for rank in (0, 8):
        policy = write_stage(tmp_path / str(rank), base, tokenizer, rank)
        module = PPOModule(policy=str(policy), reward_model="rm")
        assert hyperparameters(config_of(kl_coef=0.1), module, "ppo")["model.lora.rank"] == rank


def test_they_are_logged_once_into_the_runs_folder(tmp_path):
    place = {"name": "run", "version": "version_0"}
    loggers = [TensorBoardLogger(tmp_path, **place, default_hp_metric=False), CSVLogger(tmp_path, **place)]
    run = trainer(tmp_path, logger=loggers)
    log_hyperparameters(run, {"stage": "sft", "seed": 3, "model.lora.rank": 8}, {"test/bleu": 0.25})
    for logger in loggers:
        logger.finalize("success")
    folder = tmp_path / "run" / "version_0"
    assert hparams_of(folder) == {"stage": "sft", "seed": 3.0, "model.lora.rank": 8.0}
    (path,) = folder.glob("events.*")
    assert EventAccumulator(str(path)).Reload().Tags()["scalars"] == ["test/bleu"]
    assert yaml.safe_load((folder / "hparams.yaml").read_text(encoding="utf-8"))["model.lora.rank"] == 8
    assert [path.name for path in tmp_path.glob("*/*")] == ["version_0"]
