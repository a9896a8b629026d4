"""`python -m sosie.client`: the command `sosie`, for where scripts are not on the path."""

from sosie.client.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
