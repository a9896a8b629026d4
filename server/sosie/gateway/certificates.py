"""Checks of certificates and keys as an operator gives them: PEM files."""

import ssl
from pathlib import Path


def check_pair(certificate: Path, key: Path) -> None:
    """Raises ValueError where either is no PEM, the key has a password, or they do not belong together."""
    try:
        # Without a password of its own OpenSSL would ask at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("does not belong to SOSIE_TLS_CERT: the certificate was made for another key") from error
        raise ValueError("is, with SOSIE_TLS_CERT, no pair of PEM files without a password") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def check_authorities(pem: bytes) -> None:
    """Raises ValueError where there is no certificate in it."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise ValueError("holds no certificate in PEM") from error
