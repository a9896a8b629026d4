"""What an operator sets: from the environment (SOSIE_…), then from a file, checked as a whole at start.

Every problem is told at once, also where two settings do not go together: such a check stands at the later of the two
fields and sees those before it that are right. No message repeats a value, for some hold secrets.
"""

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sosie.gateway.certificates import check_authorities, check_pair
from sosie.gateway.keys import read_keys
from sosie.gateway.settings_file import FileSource, file_names, read_file


def _check_address(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError("is no host:port, e.g. 127.0.0.1:50051")
    return address


def _check_uri(uri: str) -> str:
    if not uri.startswith(("http://", "https://")) and not uri.endswith(".db"):
        raise ValueError("is neither http://host:port, https://host:port nor a path that ends in .db")
    return uri


def _check_endpoint(uri: str) -> str:
    if uri and not uri.startswith(("http://", "https://")):
        raise ValueError("is neither http://host:port nor https://host:port")
    return uri


def _check_readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    return path


Address = Annotated[str, AfterValidator(_check_address)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable)]


class SettingsError(ValueError):
    """The settings are wrong; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class GatewaySettings(BaseSettings):
    """Each is read from SOSIE_ and its name in capitals, e.g. SOSIE_TRITON, else from the file `config`."""

    model_config = SettingsConfigDict(
        env_prefix="SOSIE_", env_ignore_empty=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    config: Path | None = Field(default=None, description="a TOML file of these settings; the environment goes first")
    listen: Address = Field(default="127.0.0.1:50051", description="where the gateway listens")
    triton: Address = Field(default="127.0.0.1:8001", description="Triton's gRPC address")
    store: Annotated[str, AfterValidator(_check_uri)] = Field(
        default="http://127.0.0.1:19530",
        description="Milvus: http(s)://host:port, or a path that ends in .db for Milvus Lite",
    )
    collection: str = Field(default="sosie", pattern=r"^[A-Za-z_]\w{0,127}$", description="the collection's alias")
    models: Path = Field(default=Path("model_repository"), description="the model repository, for its tokenizers")
    space: str = Field(default="", description="the embedding space to serve; the collection's own unless given")
    workers: int = Field(default=1, ge=1, le=64, description="processes that share the port")
    metrics: Address | None = Field(
        default=None, description="where Prometheus finds /metrics; worker I adds I to the port; nowhere unless given"
    )
    slots: int | None = Field(
        default=None, ge=1, le=1024, description="calls of a method that a process works on at once"
    )
    queue: int = Field(
        default=16, ge=0, le=4096, description="calls of a method that wait for a slot; more are refused"
    )
    max_calls: int = Field(
        default=4096, ge=16, le=65536, description="open calls of a process, of whatever kind; more are refused"
    )
    default_deadline: float = Field(
        default=10.0, gt=0, le=600, description="seconds for a call that brings no deadline"
    )
    balancer_wait: float = Field(
        default=5.0, ge=0, le=600, description="seconds between NOT_SERVING and the first refusal when it stops"
    )
    grace: float = Field(default=10.0, ge=0, le=600, description="seconds that calls under way then get to finish")
    connection_age: float = Field(
        default=300.0, ge=0, le=86400, description="seconds after which a client is asked to connect anew; 0 for never"
    )
    text_cache: int = Field(
        default=4096, ge=0, le=1 << 20, description="recent sentences whose embeddings are kept; 0 for none"
    )
    policy: ReadableFile | None = Field(default=None, description="the file of weights by category, reloaded")
    tls_cert: ReadableFile | None = Field(default=None, description="the certificate chain, PEM, reloaded")
    tls_key: ReadableFile | None = Field(default=None, description="its private key, PEM without password, reloaded")
    tls_client_ca: ReadableFile | None = Field(
        default=None, description="authorities whose client certificates are required, PEM, reloaded"
    )
    keys: ReadableFile | None = Field(
        default=None, description="the file of API keys, reloaded; none are asked for without"
    )
    reflection: bool = Field(default=True, description="whether generic clients may ask which services there are")
    log_format: Literal["json", "text"] = Field(default="json", description="a line's form: for machines or for people")
    log_sample: float = Field(default=0.01, ge=0, le=1, description="share of the successful calls that are logged")
    otlp: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        default="", description="where spans are sent, OTLP over HTTP, http(s)://host:port; nowhere unless given"
    )
    trace_sample: float = Field(
        default=0.1, ge=0, le=1, description="share of the calls traced whose caller has not decided that"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        given = {**env_settings(), **init_settings()}
        return init_settings, env_settings, FileSource(settings_cls, given.get("config"))

    @classmethod
    def load(cls) -> Self:
        """The settings of this process. Raises SettingsError."""
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(describe_problems(error)) from None

    def slots_each(self) -> int:
        """`slots`; unless given, two a core, shared out among the workers."""
        return self.slots or max(2, 2 * (os.cpu_count() or 1) // self.workers)

    @field_validator("config")
    @classmethod
    def _check_config(cls, path: Path | None) -> Path | None:
        if path is not None:
            names = file_names(cls)
            unknown = sorted(read_file(path).keys() - names)
            if unknown:
                told = [
                    f"{name} (did you mean {close[0]}?)" if (close := get_close_matches(name, names)) else name
                    for name in unknown
                ]
                raise ValueError(f"has names that no setting has: {', '.join(told)}")
        return path

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, workers: int, info: ValidationInfo) -> int:
        if workers > 1 and info.data.get("store", "").endswith(".db"):
            raise ValueError("must be 1 with Milvus Lite (SOSIE_STORE): one process only can open a .db folder")
        if workers > 1 and sys.platform != "linux":
            raise ValueError("must be 1 here: only Linux shares the connections of a port out among processes")
        return workers

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, metrics: str | None, info: ValidationInfo) -> str | None:
        first = port_of(metrics) if metrics else 0
        if first:
            last = first + info.data.get("workers", 1) - 1
            if last >= 1 << 16:
                raise ValueError("leaves no port to every worker: worker I adds I to it, and ports end at 65535")
            if "listen" in info.data and first <= port_of(info.data["listen"]) <= last:
                raise ValueError("takes the port of SOSIE_LISTEN: worker I adds I to it")
        return metrics

    @field_validator("tls_key")
    @classmethod
    def _check_tls_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "tls_cert" not in info.data:
            return key
        certificate = info.data["tls_cert"]
        if (certificate is None) != (key is None):
            raise ValueError("goes with SOSIE_TLS_CERT: give both or neither")
        if certificate and key:
            check_pair(certificate, key)
        return key

    @field_validator("tls_client_ca")
    @classmethod
    def _check_tls_client_ca(cls, authorities: Path | None, info: ValidationInfo) -> Path | None:
        if authorities:
            check_authorities(authorities.read_bytes())
            if info.data.get("tls_cert", authorities) is None:
                raise ValueError("needs SOSIE_TLS_CERT and SOSIE_TLS_KEY: without TLS no certificate is shown")
        return authorities

    @field_validator("keys")
    @classmethod
    def _check_keys(cls, keys: Path | None) -> Path | None:
        if keys:
            read_keys(keys.read_bytes())
        return keys

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, policy: Path | None) -> Path | None:
        if policy:
            from sosie.gateway.policy import Policy  # noqa: PLC0415 -- brings numpy

            Policy.read(policy.read_bytes())
        return policy


def port_of(address: str) -> int:
    """The port of a host:port."""
    return int(address.rpartition(":")[2])


def describe_problems(error: ValidationError) -> list[str]:
    """A line for each setting that is wrong."""
    return [
        f"{_name(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _name(place: tuple[int | str, ...]) -> str:
    return f"SOSIE_{'_'.join(str(part) for part in place).upper()}"
