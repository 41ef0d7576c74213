"""Pure functions over text.

unicode_form         normalise text to one Unicode form; the key by which prompts are compared
markup, residue      remove HTML, special tokens and the remains of a broken export
sameness             whether two texts say the same
particles            choose 은/는, 이/가, 을/를 by the sound before them
prompt_template      the one prompt template
tokenizer_identity   a digest of everything that decides a tokenizer's ids
"""
