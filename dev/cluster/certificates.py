"""The keys, certificates and kubeconfigs of the local control plane, made once and kept with its state."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import ipaddress
import json
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.cluster.layout import API_SERVER, API_SERVICE_ADDRESS, CERTIFICATES, KUBECONFIG, NODE_ADDRESS, NODE_NAME

_VALID = datetime.timedelta(days=3650)
_COMPLETE = CERTIFICATES / "recipe"


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """One certificate: file name, authority, common name, organisation (a user's group), names that it serves."""

    file: str
    authority: str
    common_name: str
    organisation: str = ""
    serves: tuple[str, ...] = ()
    client: bool = True


_AUTHORITIES = ("cluster", "front-proxy", "etcd")

_API_NAMES = (
    "localhost",
    *(f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")),
)

_LEAVES = (
    _Leaf(
        "apiserver",
        "cluster",
        "kube-apiserver",
        serves=(*_API_NAMES, "127.0.0.1", NODE_ADDRESS, API_SERVICE_ADDRESS),
        client=False,
    ),
    _Leaf("apiserver-kubelet-client", "cluster", "kube-apiserver-kubelet-client", "system:masters"),
    _Leaf("apiserver-etcd-client", "etcd", "kube-apiserver"),
    _Leaf("front-proxy-client", "front-proxy", "front-proxy-client"),
    _Leaf("etcd-server", "etcd", "etcd", serves=("localhost", "127.0.0.1")),
    _Leaf("kubelet-server", "cluster", NODE_NAME, serves=(NODE_NAME, NODE_ADDRESS, "127.0.0.1"), client=False),
    _Leaf("admin", "cluster", "admin", "system:masters"),
    _Leaf("controller-manager", "cluster", "system:kube-controller-manager"),
    _Leaf("scheduler", "cluster", "system:kube-scheduler"),
    _Leaf("proxy", "cluster", "system:kube-proxy"),
    _Leaf("kubelet", "cluster", f"system:node:{NODE_NAME}", "system:nodes"),
)

_KUBECONFIGS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")


def certificate(name: str) -> Path:
    """The file of a certificate; that of an authority is named after it."""
    return CERTIFICATES / f"{name}.crt"


def key(name: str) -> Path:
    """The file of a private key."""
    return CERTIFICATES / f"{name}.key"


def kubeconfig(name: str) -> Path:
    """The kubeconfig of a part; that of the administrator lies where users look for it."""
    return KUBECONFIG if name == "admin" else CERTIFICATES / f"{name}.kubeconfig"


def ensure() -> None:
    """Make all of them, unless they are there and made by this same recipe."""
    recipe = hashlib.sha256(Path(__file__).read_bytes() + repr(_LEAVES).encode()).hexdigest()
    if _COMPLETE.exists() and _COMPLETE.read_text() == recipe and KUBECONFIG.exists():
        return
    shutil.rmtree(CERTIFICATES, ignore_errors=True)
    CERTIFICATES.mkdir(parents=True, mode=0o700)
    authorities = {name: _authority(name) for name in _AUTHORITIES}
    for leaf in _LEAVES:
        _issue(leaf, *authorities[leaf.authority])
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    _write_key("service-accounts", service_accounts)
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(
        CERTIFICATES / "service-accounts.pub",
        service_accounts.public_key().public_bytes(serialization.Encoding.PEM, public),
    )
    for name in _KUBECONFIGS:
        _write(kubeconfig(name), _kubeconfig(name).encode())
    _COMPLETE.write_text(recipe)


def _authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"reviewapp-dev-{name}")
    built = (
        _builder(subject, subject, private)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(private, hashes.SHA256())
    )
    _write_key(name, private)
    _write(certificate(name), built.public_bytes(serialization.Encoding.PEM))
    return built, private


def _issue(leaf: _Leaf, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * bool(leaf.serves) + [ExtendedKeyUsageOID.CLIENT_AUTH] * leaf.client
    builder = (
        _builder(_subject(leaf.common_name, leaf.organisation), authority.subject, private)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    if leaf.serves:
        names = [_name(name) for name in leaf.serves]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write_key(leaf.file, private)
    _write(
        certificate(leaf.file), builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )


def _builder(subject: x509.Name, issuer: x509.Name, private: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )


def _subject(common_name: str, organisation: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(name: str, private: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    _write(key(name), private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _kubeconfig(name: str) -> str:
    """Return the part's kubeconfig as JSON, which is YAML too."""

    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"server": API_SERVER, "certificate-authority-data": inline(certificate("cluster"))}
    user = {"client-certificate-data": inline(certificate(name)), "client-key-data": inline(key(name))}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "reviewapp-dev", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "reviewapp-dev", "context": {"cluster": "reviewapp-dev", "user": name}}],
        "current-context": "reviewapp-dev",
    }
    return json.dumps(content, indent=2)
