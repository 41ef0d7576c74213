"""One report of a study: figures, tables, findings, words."""
