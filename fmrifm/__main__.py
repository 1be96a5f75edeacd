"""`python -m fmrifm` is the `fmrifm` command."""

from fmrifm.cli import run

if __name__ == "__main__":
    run()
