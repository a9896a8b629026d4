"""What an operator sets: from the environment (SOSIE_…), checked as a whole at start."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _check_address(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError("is no host:port, e.g. 127.0.0.1:50051")
    return address


def _check_uri(uri: str) -> str:
    if not uri.startswith(("http://", "https://")) and not uri.endswith(".db"):
        raise ValueError("is neither http://host:port, https://host:port nor a path that ends in .db")
    return uri


Address = Annotated[str, AfterValidator(_check_address)]


class GatewaySettings(BaseSettings):
    """Each is read from SOSIE_ and its name in capitals, e.g. SOSIE_TRITON."""

    model_config = SettingsConfigDict(env_prefix="SOSIE_")

    listen: Address = Field(default="127.0.0.1:50051", description="where the gateway listens")
    triton: Address = Field(default="127.0.0.1:8001", description="Triton's gRPC address")
    store: Annotated[str, AfterValidator(_check_uri)] = Field(
        default="http://127.0.0.1:19530",
        description="Milvus: http(s)://host:port, or a path that ends in .db for Milvus Lite",
    )
    collection: str = Field(default="sosie", pattern=r"^[A-Za-z_]\w{0,127}$", description="the collection's alias")
    models: Path = Field(default=Path("model_repository"), description="the model repository, for its tokenizers")
    space: str = Field(default="", description="the embedding space to serve; the collection's own unless given")
    metrics: Address | None = Field(default=None, description="where Prometheus finds /metrics; nowhere unless given")
    slots: int = Field(
        default=2 * (os.cpu_count() or 1), ge=1, le=1024, description="calls of a method worked on at once"
    )
    queue: int = Field(
        default=16, ge=0, le=4096, description="calls of a method that wait for a slot; more are refused"
    )
    default_deadline: float = Field(
        default=10.0, gt=0, le=600, description="seconds for a call that brings no deadline"
    )
    grace: float = Field(
        default=10.0, ge=0, le=600, description="seconds that calls get to finish when the gateway stops"
    )


def describe_problems(error: ValidationError) -> list[str]:
    """A line for each setting that is wrong."""
    return [
        f"SOSIE_{'_'.join(str(place).upper() for place in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
