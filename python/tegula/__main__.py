"""`python -m tegula` is the command `tegula`."""

from tegula._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
