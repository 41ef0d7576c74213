"""Train a Korean chat model with KoChatGPT's three steps, and measure what each step changes.

    raw v1 --clean--> v2 --+--> SFT ------------+
                           +--> reward model ---+--> PPO --> evaluate on one frozen test set --> report
    corpus --> base (only if you have no pretrained model)

Best-of-n, which chooses among samples of the SFT model without training, is the control of PPO.

A stage is a folder, and a variant is a set of factors. A package imports only from the lines above its own:

    errors                                 errors of one line: wrong user input, a failed run
    storage                                atomic file writing, JSON lines
    runs                                   folders of runs, and whether a run is finished
    config_types, config_errors            paths in configs; errors in configs
    option_fields                          settings with their defaults and ranges
    functional, text                       pure torch functions; pure text functions: Unicode form, particles, the prompt template
    data, nn, metrics, world               records, splits, batches; models, adapters, decoding; scores; synthetic data with known facts
    cleaning, statistics                   v1 -> v2, one file a rule; what a difference of two models is worth
    rewards                                reward models, their scores of answers, and how these are centred and scaled
    report                                 figures, tables, words and sections of a report
    engine                                 what all stages share: the module's base, answers, sums over ranks, optimizers
    stages                                 pretrain, baseline, sft, reward_model, ppo, best_of_n: module, data, options, report chapter
    lightning_cli, terminal_chat           fit, validate, test, predict; answers in the terminal
    run_parsing                            parse the configs of a run, without building a model
    study                                  plan, factors, contrasts -> runs -> scores -> report
    cli                                    the command line

Import each name from its package (``from kochat.functional import gae``); ``import kochat`` alone loads nothing.
"""

__version__ = "0.1.0.dev0"
