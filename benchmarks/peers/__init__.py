"""Compare kochat with TRL, transformers' Trainer and plain loops on the same work: `make bench`, see README.md in this folder."""
