"""Train a Korean chat model the KoChatGPT way, and measure honestly what each step did.

    raw v1 --clean--> v2 --+--> SFT ------------+
                           +--> reward model ---+--> PPO --> evaluate on one frozen test set --> report
    corpus --> base (only where no pretrained model is at hand)

Rooms, each importing only from those before it:

    errors, runs, types   one-line user errors; where runs live and when they are finished; paths in configs
    functional            pure torch functions: masking, log-probabilities, KL, advantages, losses
    text                  pure text functions: normalisation, cleaning edits, particles, the prompt template
    data                  files -> validated records -> tensors; cleaning, splits, the DataModules
    models                tokenizers, backbones, LoRA roles that share one base, exports
    metrics               BLEU, ROUGE-L, chrF for Korean, pair accuracy, as torchmetrics
    sample                the embedded default: a small Korean world of known facts, and its oracle
    rollout               generate; collect what PPO needs to know about answers
    modules               the stages as LightningModules: pretrain, sft, reward, ppo
    callbacks             answers and their scores, reward scores, the NaN guard
    lightning_cli, chat   fit, validate, test, predict; answers in the terminal
    study                 a plan of runs -> scores -> report
    cli                   the command line

Everything is imported from its room (``from kochat.functional import gae``); importing ``kochat`` loads nothing.
"""

__version__ = "0.1.0.dev0"
