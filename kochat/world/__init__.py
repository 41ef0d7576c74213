"""The embedded default: a small Korean world whose facts are known, and what is written and measured with it.

facts/ relations/ talk/   the tables: facts, the sentences they are told and asked in, families of everyday talk
contents                  World: the tables as frozen values; table_files reads and checks every line
generator                 write_sample: corpus, SFT, RM, PPO and the frozen test set in KoChatGPT's shape, with labelled dirt
                          (clean_rows, bad_answers, dirt, frozen_test, sizes)
judgement                 the judge: is an answer correct, wrong, abstained or malformed?
                          (fluency, then answer_reading: names, clauses, claims)
agreement                 how far the judge agrees with a reader's labels
"""
