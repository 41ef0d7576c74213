"""Train a Korean chat model the KoChatGPT way, and measure honestly what each step did.

    raw v1 --clean--> v2 --+--> SFT ------------+
                           +--> reward model ---+--> PPO --> evaluate on one frozen test set --> report
    corpus --> base (only where no pretrained model is at hand)

A stage is a folder, and a variant is a set of factors. The rooms, each importing only from the lines above its own:

    errors                                 one-line errors: the user's input is wrong, a run failed
    storage                                files written whole or not at all, JSON lines
    runs, config_types, config_errors      where runs live and when they are finished; paths in configs; what is wrong with a config
    functional, text                       pure torch functions; pure text functions: Unicode form, particles, the prompt template
    data, nn, metrics, world               records, splits, batches; models, adapters, decoding; scores; a Korean world of known facts
    cleaning                               v1 -> v2, one file a rule
    rewards                                reward models, and the zero and unit of their scores
    report                                 figures, tables, words, sections: what a report is built of
    engine                                 what all stages share: the module's base, answers, sums over ranks, optimizers
    stages                                 pretrain, baseline, sft, reward_model, ppo: module, data, options, chapter of the report
    lightning_cli, terminal_chat           fit, validate, test, predict; answers in the terminal
    run_parsing                            what a run's configs say, before anything is made of them
    study                                  plan, factors, contrasts -> runs -> scores -> report
    cli                                    the command line

Everything is imported from its room (``from kochat.functional import gae``); importing ``kochat`` loads nothing.
"""

__version__ = "0.1.0.dev0"
