"""TLS of the gateway's port: certificates that are read again when they change, client certificates where wanted.

A connection keeps the certificates that it was made with; each new one gets the newest that could be read.
"""

from pathlib import Path

import grpc

from sosie.gateway.certificates import check_authorities, check_pair
from sosie.gateway.reloading import ReloadedFiles


def make_credentials(certificate: Path, key: Path, client_authorities: Path | None = None) -> grpc.ServerCredentials:
    """Credentials from PEM files; with `client_authorities` only clients whose certificate these signed come in.

    Raises ValueError where the files are wrong, and OSError where they cannot be read.
    """

    def read(
        certificate_pem: bytes, key_pem: bytes, authorities: bytes | None = None
    ) -> grpc.ServerCertificateConfiguration:
        check_pair(certificate, key)
        if authorities is not None:
            check_authorities(authorities)
        return grpc.ssl_server_certificate_configuration([(key_pem, certificate_pem)], authorities)

    paths = [certificate, key] + ([client_authorities] if client_authorities else [])
    files = ReloadedFiles(paths, read)
    # gRPC asks before each handshake, from a thread of its own.
    return grpc.dynamic_ssl_server_credentials(files.value, lambda: files.value, client_authorities is not None)
