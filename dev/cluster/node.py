"""The node's programs and their settings: container runtime, kubelet, kube-proxy, image registry.

Says how each is run and writes its configuration; starting is `processes.py`'s job.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from dev.cluster import layout, seccomp
from dev.cluster.certificates import certificate, key, kubeconfig
from dev.cluster.processes import ClusterError, Part
from dev.images.archive import Image
from dev.images.recipes import node_images, pause

_CNI_PROGRAMS = "/usr/lib/cni"
_CNI = layout.CONFIGURATION / "cni"
_REGISTRIES = layout.CONFIGURATION / "registries"


def registry() -> Part:
    """The image registry, on the node's address, without TLS or passwords."""
    content = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(layout.REGISTRY_CONTENT)}, "delete": {"enabled": True}},
        "http": {"addr": layout.REGISTRY},
    }
    file = _write("registry.yaml", _json(content))
    return Part("registry", (_debian_program("docker-registry"), "serve", str(file)), (file,))


def containerd(programs: Path) -> Part:
    """The container runtime, with the network plugins' and the registries' configuration."""
    # Point to point, so that Pods reach each other through the node's rules and never behind them, as over a bridge.
    pod_network = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": layout.POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(layout.RUN / "addresses"),
        },
    }
    host_ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    network = {"cniVersion": "1.0.0", "name": layout.NETWORK_NAMESPACE, "plugins": [pod_network, host_ports]}
    url = f"http://{layout.REGISTRY}"
    hosts = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    files = (
        _write("cni/10-pods.conflist", _json(network)),
        _write(f"registries/{layout.REGISTRY}/hosts.toml", hosts),
        _write("containerd.toml", _containerd_configuration(programs)),
    )
    return Part("containerd", (str(programs / "containerd"), "--config", str(files[-1])), files)


def _containerd_configuration(programs: Path) -> str:
    return f"""version = 3
root = "{layout.CONTAINERD}"
state = "{layout.RUN}/containerd"
imports = []
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[ttrpc]
  address = "{layout.CONTAINERD_SOCKET}.ttrpc"
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = "{layout.RUN}/shims"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{image_reference(pause())}"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "{_REGISTRIES}"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{_CNI_PROGRAMS}"]
    conf_dir = "{_CNI}"
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{programs}/containerd-shim-runc-v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{_debian_program("runc")}"
      Root = "{layout.RUN}/runc"
      SystemdCgroup = false
"""


def kubelet(programs: Path) -> Part:
    """The kubelet, with the seccomp profiles that builds name."""
    profile = layout.KUBELET / "seccomp" / seccomp.PROFILE
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text(seccomp.text())
    # Read when a container starts, so that the kubelet need not be started anew for it.
    (layout.KUBELET / "seccomp" / seccomp.BUILDAH_PROFILE).write_text(seccomp.text("chroot"))
    # Nothing outside of the cluster can be reached, so Pods have no other name server.
    resolver = _write("resolv.conf", "")
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificate("cluster"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(key("kubelet-server")),
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "clusterDNS": [layout.DNS_SERVICE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "podLogsDir": str(layout.POD_LOGS),
        "volumePluginDir": str(layout.STATE / "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Lowering the score takes CAP_SYS_RESOURCE, which not every root has.
        "oomScoreAdj": 0,
        "maxPods": 200,
        "serializeImagePulls": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
    file = _write("kubelet.yaml", _json(content))
    command = (
        str(programs / "kubelet"),
        f"--config={file}",
        f"--kubeconfig={kubeconfig('kubelet')}",
        f"--hostname-override={layout.NODE_NAME}",
        f"--node-ip={layout.NODE_ADDRESS}",
        f"--root-dir={layout.KUBELET}",
        f"--cert-dir={layout.KUBELET}/pki",
    )
    return Part("kubelet", command, (file, kubeconfig("kubelet"), profile))


def kube_proxy(programs: Path) -> Part:
    """The Service proxy."""
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": layout.NODE_ADDRESS,
        "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
        "clusterCIDR": layout.POD_RANGE,
        "hostnameOverride": layout.NODE_NAME,
        "nodePortAddresses": [f"{layout.NODE_ADDRESS}/32"],
        "oomScoreAdj": 0,
        # The machine's own limits of connection tracking are left as they are.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    file = _write("kube-proxy.yaml", _json(content))
    return Part("kube-proxy", (str(programs / "kube-proxy"), f"--config={file}"), (file, kubeconfig("proxy")))


def image_reference(image: Image) -> str:
    """What the node calls an image that no registry has."""
    return f"node.invalid/{image.name}:{image.tag}"


def runtime_answers(programs: Path) -> bool:
    """Whether containerd takes requests."""
    return _ctr(programs, "version").returncode == 0


def load_images(programs: Path) -> None:
    """Put the images that the node starts with into its own store, those that it does not have.

    Raises:
        ClusterError: containerd did not take one.
    """
    present = _ctr(programs, "images", "list", "--quiet").stdout.split()
    for image in node_images():
        reference = image_reference(image)
        if reference in present:
            continue
        with image.archive(reference) as archive:
            done = _ctr(programs, "images", "import", "--local", str(archive))
        if done.returncode:
            raise ClusterError(f"containerd did not take the image {reference}: {done.stderr.strip()}")


def _ctr(programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (str(programs / "ctr"), "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _write(name: str, text: str) -> Path:
    """Write a configuration file unless it holds just that: kube-proxy ends when its file is written to."""
    file = layout.CONFIGURATION / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    return file


def _json(content: dict[str, Any]) -> str:
    """Return JSON, which all readers of YAML take."""
    return json.dumps(content, indent=2) + "\n"


def _debian_program(name: str) -> str:
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
    if found is None:
        raise ClusterError(f"{name} is not installed though its Debian package is")
    return found
