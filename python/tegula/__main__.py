"""Runs the command `tegula` as `python -m tegula`."""

from tegula._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
