"""`sosie gateway`."""

import argparse
import os

HELP = "run the gRPC service"
EXTRA = "gateway"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs the gRPC service until SIGTERM or Ctrl-C. Each option overrides its SOSIE_ variable; there are more"
        " variables than options, and a file may hold them all."
    )
    for name, text in (
        ("config", "a TOML file of settings; options and SOSIE_ variables go first (SOSIE_CONFIG)"),
        ("listen", "where the gateway listens, host:port (SOSIE_LISTEN, default 127.0.0.1:50051)"),
        ("triton", "Triton's gRPC address, host:port (SOSIE_TRITON, default 127.0.0.1:8001)"),
        ("store", "Milvus: http(s)://host:port or a path that ends in .db (SOSIE_STORE)"),
        ("collection", "the collection's alias (SOSIE_COLLECTION, default sosie)"),
        ("models", "the model repository, for its tokenizers (SOSIE_MODELS, default model_repository)"),
        ("space", "the embedding space to serve, the collection's own unless given (SOSIE_SPACE)"),
        ("workers", "processes that share the port (SOSIE_WORKERS, default 1)"),
        ("metrics", "where Prometheus finds /metrics, host:port; nowhere unless given (SOSIE_METRICS)"),
    ):
        parser.add_argument(f"--{name}", help=text)


def run(arguments: argparse.Namespace) -> int:
    for name, value in vars(arguments).items():
        if value is not None:
            os.environ[f"SOSIE_{name.upper()}"] = value
    from sosie.gateway.launch import main  # noqa: PLC0415 - brings what reads the settings

    return main()
