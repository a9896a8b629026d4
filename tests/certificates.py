"""Certificates for the tests of TLS: an authority, what it signed for localhost, and where the files are."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class ServerFiles:
    """The PEM files that a gateway is given."""

    certificate: Path
    key: Path
    authority: Path

    def write(self, authority: trustme.CA) -> None:
        """Puts a new pair, signed by `authority`, and the authority itself in their places."""
        issued = authority.issue_cert("localhost")
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.authority.write_bytes(authority.cert_pem.bytes())


def make_files(folder: Path, authority: trustme.CA) -> ServerFiles:
    """A pair that `authority` signed, in `folder`."""
    files = ServerFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    files.write(authority)
    return files
