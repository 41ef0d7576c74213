"""Pure functions over text: one Unicode form, particles, the prompt template, cleaning rules."""
