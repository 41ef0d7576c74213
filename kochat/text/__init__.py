"""Pure functions over text.

unicode_form         one Unicode form for all text, and the key by which prompts are compared
markup, residue      take out HTML, special tokens and what a broken export left
sameness             do two texts say the same?
particles            choose 은/는, 이/가, 을/를 by the sound before them
prompt_template      the one prompt template
tokenizer_identity   a digest of all that decides a tokenizer's ids
"""
