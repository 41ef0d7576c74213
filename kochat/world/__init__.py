"""The embedded default data: a small Korean world of known facts, a generator of data files from it, and a judge of answers.

facts/ relations/ talk/   the tables: facts, sentences that state and ask them, families of everyday talk
contents                  World: the tables as frozen dataclasses; table_files reads and checks every line
generator                 write_sample: corpus, SFT, RM, PPO and the frozen test set in KoChatGPT's shape, with labelled dirt
                          (clean_rows, bad_answers, dirt, frozen_test, sizes)
judgement                 the judge: is an answer correct, wrong, a statement of not knowing, off the point, or malformed?
                          (fluency, then answer_reading: names, world_names, topics, clauses, object_places, claims)
agreement                 how often the judge agrees with the labels of a reader
"""
