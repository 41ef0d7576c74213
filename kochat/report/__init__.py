"""Parts of a study's report: figures, tables, findings, words."""
