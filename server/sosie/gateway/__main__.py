"""`python -m sosie.gateway`: the gateway as a process of its own, set up by its environment."""

from sosie.gateway.launch import main

if __name__ == "__main__":
    raise SystemExit(main())
