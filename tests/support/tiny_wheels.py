"""The smallest wheels that pip and uv accept, and a package index that serves a folder of them over TLS."""

import datetime
import http.server
import ipaddress
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def wheel(folder: Path, name: str, version: str) -> Path:
    """An empty package."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def simple_index(folder: Path, name: str, version: str) -> Path:
    """A folder that is an index with one package: `<folder>/<name>/index.html`, as PEP 503 says."""
    made = wheel(folder / name, name, version)
    (folder / name / "index.html").write_text(f'<a href="{made.name.replace("+", "%2B")}">{made.name}</a>')
    return folder


class _Proxy(http.server.SimpleHTTPRequestHandler):
    """Serves files over TLS, also to who asks it, as a proxy, for any host."""

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.setup()
        self.handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class TinyIndex(http.server.ThreadingHTTPServer):
    """`ca` is the file with its certificate."""

    ca: Path
    tls: ssl.SSLContext

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def served(folder: Path, keys: Path, *hosts: str, behind_tls: bool = True) -> Iterator[TinyIndex]:
    """`folder` at `https://<address>`, or, as a proxy, at `https://<host>` for each of `hosts`."""
    server = TinyIndex(("127.0.0.1", 0), partial(_Proxy, directory=str(folder)))
    server.ca = _certificate(keys, hosts)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(server.ca, keys / "key.pem")
    if behind_tls:
        server.socket = server.tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _certificate(folder: Path, hosts: tuple[str, ...]) -> Path:
    """A certificate for loopback and `hosts` with that of its authority, which nobody else knows; one file."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "server")}
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tiny {name}")]) for name in keys}
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *map(x509.DNSName, hosts)]

    def signed(name: str) -> bytes:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["authority"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
        )
        if name == "server":
            certificate = certificate.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        return certificate.sign(keys["authority"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private = keys["server"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "chain.pem").write_bytes(signed("server") + signed("authority"))
    return folder / "chain.pem"
