"""The stages as LightningModules: pretraining, SFT, reward model, PPO, and the untrained baseline."""

from kochat.modules.base import ChatModule
from kochat.modules.ppo import PPOModule
from kochat.modules.pretrain import PretrainModule
from kochat.modules.reward import RewardModule
from kochat.modules.sft import BaselineModule, SFTModule

__all__ = ["BaselineModule", "ChatModule", "PPOModule", "PretrainModule", "RewardModule", "SFTModule"]
