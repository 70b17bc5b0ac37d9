"""The control plane's programs and their settings: those of a usual cluster, but for durability.

Says how each is run; starting is `processes.py`'s job.
"""

from __future__ import annotations

from pathlib import Path

from dev.cluster.certificates import certificate, key, kubeconfig
from dev.cluster.layout import CERTIFICATES, ETCD, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE
from dev.cluster.processes import Part

_ETCD_CLIENT = "https://127.0.0.1:2379"
_ETCD_PEER = "http://127.0.0.1:2380"


def etcd(programs: Path) -> Part:
    """The store. It never waits for the disk: a power cut may cost a development cluster its state."""
    return _part(
        programs / "etcd",
        {
            "name": "node1",
            "data-dir": ETCD,
            "listen-client-urls": _ETCD_CLIENT,
            "advertise-client-urls": _ETCD_CLIENT,
            "listen-peer-urls": _ETCD_PEER,
            "initial-advertise-peer-urls": _ETCD_PEER,
            "initial-cluster": f"node1={_ETCD_PEER}",
            "cert-file": certificate("etcd-server"),
            "key-file": key("etcd-server"),
            "trusted-ca-file": certificate("etcd"),
            "client-cert-auth": "true",
            "log-level": "warn",
            "unsafe-no-fsync": "true",
        },
    )


def api_server(programs: Path) -> Part:
    """The API server, with aggregation, RBAC, the node authorizer and the default admission plugins."""
    return _part(
        programs / "kube-apiserver",
        {
            "bind-address": NODE_ADDRESS,
            "advertise-address": NODE_ADDRESS,
            "secure-port": "6443",
            "etcd-servers": _ETCD_CLIENT,
            "etcd-cafile": certificate("etcd"),
            "etcd-certfile": certificate("apiserver-etcd-client"),
            "etcd-keyfile": key("apiserver-etcd-client"),
            "tls-cert-file": certificate("apiserver"),
            "tls-private-key-file": key("apiserver"),
            "client-ca-file": certificate("cluster"),
            "kubelet-certificate-authority": certificate("cluster"),
            "kubelet-client-certificate": certificate("apiserver-kubelet-client"),
            "kubelet-client-key": key("apiserver-kubelet-client"),
            "kubelet-preferred-address-types": "InternalIP,Hostname",
            "requestheader-client-ca-file": certificate("front-proxy"),
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": certificate("front-proxy-client"),
            "proxy-client-key-file": key("front-proxy-client"),
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": CERTIFICATES / "service-accounts.pub",
            "service-account-signing-key-file": key("service-accounts"),
            "service-cluster-ip-range": SERVICE_RANGE,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "profiling": "false",
        },
    )


def controller_manager(programs: Path) -> Part:
    """All controllers, under a service account each."""
    return _part(
        programs / "kube-controller-manager",
        {
            **_talks_to_api_server("controller-manager"),
            "client-ca-file": certificate("cluster"),
            "requestheader-client-ca-file": certificate("front-proxy"),
            "root-ca-file": certificate("cluster"),
            "service-account-private-key-file": key("service-accounts"),
            "cluster-signing-cert-file": certificate("cluster"),
            "cluster-signing-key-file": key("cluster"),
            "use-service-account-credentials": "true",
            "allocate-node-cidrs": "true",
            "cluster-cidr": POD_RANGE,
            "node-cidr-mask-size": POD_RANGE.partition("/")[2],
            "service-cluster-ip-range": SERVICE_RANGE,
        },
    )


def scheduler(programs: Path) -> Part:
    """The default scheduler."""
    return _part(programs / "kube-scheduler", _talks_to_api_server("scheduler"))


def _talks_to_api_server(name: str) -> dict[str, str | Path]:
    config = kubeconfig(name)
    return {
        "bind-address": "127.0.0.1",
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "leader-elect": "false",
    }


def _part(program: Path, flags: dict[str, str | Path]) -> Part:
    files = tuple(
        value for value in flags.values() if isinstance(value, Path) and value.suffix in (".crt", ".kubeconfig")
    )
    return Part(program.name, (str(program), *(f"--{name}={value}" for name, value in flags.items())), files)
