"""``python -m kochat``."""

from kochat.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
