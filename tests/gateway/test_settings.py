"""Settings from the environment and from a file, and all that may be wrong with them."""

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from certificates import make_files
from sosie.gateway.settings import GatewaySettings, SettingsError

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests counts."""
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"SOSIE_{name.upper()}", raising=False)


def problems(monkeypatch: pytest.MonkeyPatch, **values: object) -> dict[str, str]:
    """What is told of settings with these values, by variable."""
    for name, value in values.items():
        monkeypatch.setenv(f"SOSIE_{name.upper()}", str(value))
    with pytest.raises(SettingsError) as caught:
        GatewaySettings.load()
    told = dict(problem.split(": ", 1) for problem in caught.value.problems)
    assert len(told) == len(caught.value.problems)
    return told


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each wrong setting is told by its variable, those that do not go together among them."""
    config = write(tmp_path / "sosie.toml", "slots = 0\nqeue = 3\n")
    told = problems(
        monkeypatch,
        config=config,
        listen="nowhere",
        store="./sosie.db",
        workers=2,
        tls_key=config,
        tls_client_ca=tmp_path / "absent",
        keys=write(tmp_path / "keys.toml", "website = 5\n"),
    )
    assert list(told) == [
        f"SOSIE_{name}" for name in ("CONFIG", "LISTEN", "WORKERS", "SLOTS", "TLS_KEY", "TLS_CLIENT_CA", "KEYS")
    ]
    assert told["SOSIE_CONFIG"] == "has names that no setting has: qeue (did you mean queue?)"
    assert "Milvus Lite" in told["SOSIE_WORKERS"]
    assert told["SOSIE_TLS_CLIENT_CA"] == "cannot be read: No such file or directory"


def test_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A setting is taken from the environment, else from the file, else it has its default."""
    text = 'queue = 3\nslots = 5\nmetrics = "127.0.0.1:9464"\nreflection = false\n'
    monkeypatch.setenv("SOSIE_CONFIG", str(write(tmp_path / "sosie.toml", text)))
    monkeypatch.setenv("SOSIE_SLOTS", "7")
    settings = GatewaySettings.load()
    assert (settings.slots, settings.queue, settings.grace) == (7, 3, 10.0)
    assert (settings.metrics, settings.reflection) == ("127.0.0.1:9464", False)


def test_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing leaves the default."""
    monkeypatch.setenv("SOSIE_METRICS", "")
    monkeypatch.setenv("SOSIE_GRACE", "")
    assert GatewaySettings.load() == GatewaySettings()


@pytest.mark.parametrize("text", ["slots = ", "config = 'other.toml'", "[gateway]\nslots = 3"])
def test_file_that_cannot_be_taken(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is no TOML, names another one or has a table is told, whatever else it says."""
    assert list(problems(monkeypatch, config=write(tmp_path / "sosie.toml", text))) == ["SOSIE_CONFIG"]


def test_file_that_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is named and not there is told beside what else is wrong."""
    told = problems(monkeypatch, config=tmp_path / "absent.toml", grace=-1)
    assert list(told) == ["SOSIE_CONFIG", "SOSIE_GRACE"]


def test_values_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message holds what was given: an address may have a password in it."""
    told = problems(monkeypatch, otlp="user:secret@collector", store="secret", slots="secret")
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("listen", "metrics", "workers", "wrong"),
    [
        ("127.0.0.1:9000", "127.0.0.1:9000", 1, True),
        ("127.0.0.1:9000", "127.0.0.1:8998", 2, False),
        ("127.0.0.1:9000", "127.0.0.1:8998", 3, True),
        ("127.0.0.1:9000", "127.0.0.1:65534", 3, True),
        ("127.0.0.1:0", "127.0.0.1:0", 3, False),
    ],
)
def test_ports_of_metrics(
    listen: str, metrics: str, workers: int, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ports of the workers' metrics lie below 65,536 and leave the gateway its own."""
    if wrong:
        assert list(problems(monkeypatch, listen=listen, metrics=metrics, workers=workers)) == ["SOSIE_METRICS"]
    else:
        assert GatewaySettings(listen=listen, metrics=metrics, workers=workers).metrics == metrics


def test_tls_files_that_do_not_belong_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate without its key, with another's, or an authority that is none are found at the start."""
    authority = trustme.CA()
    files = make_files(tmp_path, authority)
    monkeypatch.setenv("SOSIE_TLS_CERT", str(files.certificate))
    assert "give both or neither" in problems(monkeypatch)["SOSIE_TLS_KEY"]
    monkeypatch.setenv("SOSIE_TLS_KEY", str(files.key))
    monkeypatch.setenv("SOSIE_TLS_CLIENT_CA", str(files.authority))
    assert GatewaySettings.load().tls_client_ca == files.authority
    files.key.write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    files.authority.write_text("none")
    told = problems(monkeypatch)
    assert "made for another key" in told["SOSIE_TLS_KEY"]
    assert told["SOSIE_TLS_CLIENT_CA"] == "holds no certificate in PEM"


def test_client_authority_without_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Client certificates cannot be asked for where there is no TLS."""
    files = make_files(tmp_path, trustme.CA())
    assert list(problems(monkeypatch, tls_client_ca=files.authority)) == ["SOSIE_TLS_CLIENT_CA"]


def test_settings_are_read_without_what_is_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading settings imports no gRPC: a parent of workers stays small."""
    lines = (
        "import sys, sosie.gateway.launch, sosie.gateway.workers; print('grpc' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
