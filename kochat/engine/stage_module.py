"""The base of all stages: the hooks that the command line and Lightning call.

Code of one stage is in the folder of that stage. Code that several stages need is in objects and functions that they
use: `Answering`, `TokenWindow`, `count_share`, `scheduled_adamw`, `Inputs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import torch
from transformers import PreTrainedTokenizerFast

from kochat.data.batches import PromptBatch
from kochat.data.row_lengths import RowLengths, TokenisedData
from kochat.engine.answering import AnsweredBatch, Answering
from kochat.engine.inputs import Inputs
from kochat.engine.memory_report import say_memory
from kochat.engine.stage import Stage
from kochat.engine.trained_state import check_keys, trained_names
from kochat.errors import UserError
from kochat.nn.backbones import backbone_of
from kochat.nn.precision import AUTOCAST, cast_frozen_matrices
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.tokenizers import check_tokenizer, load_tokenizer


class StageModule(L.LightningModule):
    """Base of all stages.

    The constructor loads nothing. `sources` names the inputs, so that missing ones are reported before any weight is
    loaded; `connect` joins the stage with its data; `configure_model` loads the weights. A stage defines `sources`,
    `configure_model`, Lightning's steps and `export`; it may override `connect`.

    Attributes:
        stage: its name and abilities.
        inputs: where its models come from; the command line sets it. The default looks run names up in lightning_logs/.
        answering: how it answers prompts; None in a stage that answers none (`Stage.answers`).
        row_lengths: maximum lengths of the data's rows, in tokens; set by `connect`.
        tokens_read: number of real tokens that this rank has trained on; a token read twice counts twice.
    """

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.inputs = Inputs()
        self.row_lengths = RowLengths()
        self.tokens_read: int | torch.Tensor = 0  # a tensor during training, so that no step waits for the device
        self.answering: Answering | None = None
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._roles: dict[str, Role] = {}
        self._cast_for = ""

    # What a stage starts from

    def sources(self) -> dict[str, str]:
        """Name the models that this stage starts from: config field -> directory, run name or hub id."""
        raise NotImplementedError

    def start_folder(self) -> Path | None:
        """Return the folder of the tokenizer and stop tokens: the trained export, else the first input, else None."""
        if self.inputs.trained is not None:
            return self.inputs.trained
        return next((self.inputs.folder(field, value) for field, value in self.sources().items()), None)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the stage's tokenizer, loaded on first use."""
        if self._tokenizer is None:
            folder = self.start_folder()
            if folder is None:
                raise UserError(f"{type(self).__name__} has no tokenizer yet; call connect(data) first")
            self._tokenizer = load_tokenizer(folder)
        return self._tokenizer

    def connect(self, data: TokenisedData) -> None:
        """Join the stage with its data before a Trainer runs: give the data the tokenizer, and take the row lengths from the data."""
        data.connect(self.tokenizer)
        self.row_lengths = data.row_lengths

    # Models

    def adopt(self, role: Role) -> Role:
        """Register a role's modules with Lightning (a shared host only once) and check that the tokenizer fits it."""
        self._roles[role.name] = role
        if not any(module is role.host for module in self.children()):
            self.add_module(f"{role.name}_host", role.host)
        if role.head is not None:
            self.add_module(f"{role.name}_head", role.head)
        rows = backbone_of(role.host).get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        check_tokenizer(self.tokenizer, f"{self.stage.name} {role.name}", rows)
        return role

    def role(self, name: str) -> Role:
        """Return a role that `configure_model` has loaded."""
        return self._roles[name]

    def load_trained(self, name: str, *, value: bool = False) -> bool:
        """Load a role from the finished export, in `test`, `validate` and `predict`; return False in training, where there is none."""
        if self.inputs.trained is None:
            return False
        self.adopt(HostPool().load(name, self.inputs.trained, value=value))
        self.requires_grad_(False)
        return True

    @property
    def configured(self) -> bool:
        """Whether `configure_model` has loaded the roles already; Lightning calls it at every fit and test."""
        return bool(self._roles)

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """List the trained parameters."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def longest_rows(self) -> dict[str, int]:
        """Return the longest rows that the data's settings allow: config field -> tokens."""
        longest = self.row_lengths.row
        return {} if longest is None else {"data.max_length": longest}

    def export(self, folder: Path) -> None:
        """Write the trained model as a Hugging Face folder."""
        raise NotImplementedError

    @property
    def validated(self) -> bool:
        """Whether the validation results that `export` writes belong to the current weights; True if it writes none."""
        return True

    # Answers

    def answer(self, batch: PromptBatch) -> list[str]:
        """Answer a prompt batch greedily."""
        return self.answered(batch).answers

    def answered(self, batch: PromptBatch) -> AnsweredBatch:
        """Answer a prompt batch greedily; return the answers together with the prompts and references."""
        if self.answering is None:
            raise UserError(f"{type(self).__name__} answers no prompts; leave AnswerEvaluation and predict out")
        return self.answering.answered(batch)

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """Answer a batch of test prompts; `AnswerEvaluation` scores and writes the returned `AnsweredBatch`."""
        return self.answered(batch)

    def predict_step(self, batch: PromptBatch, batch_idx: int) -> AnsweredBatch:
        """Answer the prompts; the command line writes them."""
        return self.answered(batch)

    # Lightning's hooks

    def setup(self, stage: str) -> None:
        """Refuse a precision that differs from that of an earlier fit, which cast the frozen weights."""
        now = str(self.trainer.precision)
        if self._cast_for in AUTOCAST and now != self._cast_for:
            raise UserError(
                f"trainer.precision={now}: this module was fitted in {self._cast_for}; make it anew from its export"
            )

    def on_fit_start(self) -> None:
        """Check that the longest row fits each model's positions, cast frozen weights to the precision, and report memory."""
        for field, length in self.longest_rows().items():
            for role in self._roles.values():
                if role.max_positions is not None and length > role.max_positions:
                    raise UserError(
                        f"{field}: {length} tokens are more than the {role.max_positions} positions of {role.name}; lower it"
                    )
        for role in self._roles.values():
            cast_frozen_matrices(role.host, self.trainer.precision)
        self._cast_for = str(self.trainer.precision)
        if len(self._roles) > 1:
            say_memory(self.trainer, f"{self.stage.name}/memory", list(self._roles.values()))

    def all_tokens_read(self) -> int:
        """Return the number of real tokens that all ranks have trained on; every rank must call this."""
        own = torch.as_tensor(self.tokens_read, device=self.trainer.strategy.root_device)
        return int(self.trainer.strategy.reduce(own, reduce_op="sum"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only the trained weights (frozen ones are loaded from their sources again), and the count of tokens."""
        names = trained_names(self)
        checkpoint["state_dict"] = {key: value for key, value in checkpoint["state_dict"].items() if key in names}
        checkpoint["tokens_read"] = self.all_tokens_read()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the count of tokens, on the first rank."""
        self.tokens_read = checkpoint.get("tokens_read", 0) if self.global_rank == 0 else 0

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:  # noqa: FBT001, FBT002 - torch's
        """Load a checkpoint of the trained weights; refuse it if a key is missing or unexpected."""
        if strict:
            check_keys(self, state_dict)
        return super().load_state_dict(state_dict, strict=False, assign=assign)
