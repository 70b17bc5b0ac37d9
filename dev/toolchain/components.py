"""The table of what is built from Go modules, with every version pinned in one place.

Says what and in which version; building is `build.py`'s job. A component's folder in the cache is
named by its version and a digest of its row here, so a change of either builds it anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

SOURCES = Path(__file__).parent

PULUMI_VERSION = "3.274.1"
KUBERNETES_PROVIDER_VERSION = "4.25.0"
KUBERNETES_VERSION = "1.36.3"

_KUBERNETES_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)


@dataclasses.dataclass(frozen=True)
class Component:
    """One module from which one or more programs are built.

    Attributes:
        name: what people call it; names the cache folder.
        version: the release, without a leading `v`.
        module: Go module path.
        module_version: the module's version as Go writes it, where it is not `v<version>`.
        packages: package paths below the module (or `.` for our own `main.go`); each gives one program.
        requires: further modules held at a version, `path@version`.
        own_main: whether `SOURCES/<folder>/main.go` is what is built, rather than a package of the module.
        program: the program's file name, where it is not the package's last part.
        variables: linker variables, name to value.
        tags: build tags.
        staging: whether `./staging` replaces of the module's go.mod become released modules (Kubernetes).
        minutes: roughly how long it takes on two cores, for the progress display.
    """

    name: str
    version: str
    module: str
    packages: tuple[str, ...]
    module_version: str = ""
    requires: tuple[str, ...] = ()
    own_main: bool = False
    program: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    staging: bool = False
    minutes: float = 1.0

    @property
    def module_at(self) -> str:
        """The module with its version, as `go get` takes it."""
        return f"{self.module}@{self.module_version or 'v' + self.version}"

    @property
    def programs(self) -> tuple[str, ...]:
        """File names of the programs that the build leaves."""
        if self.program:
            return (self.program,)
        return tuple(package.rsplit("/", 1)[-1] for package in self.packages)

    @property
    def source(self) -> Path:
        """Our `main.go`, where the component has one."""
        return SOURCES / self.name.replace("-", "_") / "main.go"

    @property
    def key(self) -> str:
        """The cache folder's name: readable, and different whenever the result could be."""
        recipe = repr(self) + (self.source.read_text() if self.own_main else "")
        return f"{self.name}-{self.version}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"


def _kubernetes_version_variables() -> tuple[tuple[str, str], ...]:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return tuple(
        (f"{package}.{name}", value)
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    )


PULUMI = Component(
    name="pulumi",
    version=PULUMI_VERSION,
    module="github.com/pulumi/pulumi/pkg/v3",
    requires=(f"github.com/pulumi/pulumi/sdk/v3@v{PULUMI_VERSION}",),
    packages=("cmd/pulumi",),
    variables=(("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", PULUMI_VERSION),),
    minutes=8,
)

KUBERNETES_PROVIDER = Component(
    name="kubernetes-provider",
    version=KUBERNETES_PROVIDER_VERSION,
    module="github.com/pulumi/pulumi-kubernetes/provider/v4",
    # The commit that upstream tagged v4.25.0; the module has no tag of its own for it.
    module_version="v4.0.0-20260115033456-f47bc2d6f199",
    packages=(".",),
    own_main=True,
    program="pulumi-resource-kubernetes",
    variables=(("main.version", KUBERNETES_PROVIDER_VERSION),),
    minutes=13,
)

KUBERNETES = Component(
    name="kubernetes",
    version=KUBERNETES_VERSION,
    module="k8s.io/kubernetes",
    packages=tuple(f"cmd/{command}" for command in _KUBERNETES_COMMANDS),
    variables=_kubernetes_version_variables(),
    staging=True,
    minutes=10,
)

ETCD = Component(
    name="etcd",
    version="3.6.8",
    module="go.etcd.io/etcd/server/v3",
    packages=(".",),
    program="etcd",
    minutes=1,
)

CONTAINERD = Component(
    name="containerd",
    version="2.3.7",
    module="github.com/containerd/containerd/v2",
    packages=("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
    tags=("no_btrfs", "no_devmapper", "no_zfs", "no_aufs"),
    minutes=2,
)

COREDNS = Component(
    name="coredns",
    version="1.14.2",
    module="github.com/coredns/coredns",
    packages=(".",),
    own_main=True,
    program="coredns",
    minutes=2,
)

BUILDKIT = Component(
    name="buildkit",
    version="0.34.2",
    module="github.com/moby/buildkit",
    packages=("cmd/buildkitd", "cmd/buildctl"),
    minutes=4.5,
)

ROOTLESSKIT = Component(
    name="rootlesskit",
    version="2.3.6",
    module="github.com/rootless-containers/rootlesskit/v2",
    packages=("cmd/rootlesskit",),
    minutes=0.3,
)

CRANE = Component(
    name="crane",
    version="0.22.1",
    module="github.com/google/go-containerregistry",
    packages=("cmd/crane",),
    minutes=0.3,
)

HELM = Component(
    name="helm",
    version="4.3.2",
    module="helm.sh/helm/v4",
    packages=("cmd/helm",),
    minutes=3,
)

ACTIONLINT = Component(
    name="actionlint",
    version="1.7.12",
    module="github.com/rhysd/actionlint",
    packages=("cmd/actionlint",),
    minutes=0.3,
)

# The engine last of the long ones: the cluster can come up while it is built.
ENGINE = (PULUMI, KUBERNETES_PROVIDER)
CLUSTER = (ETCD, CONTAINERD, KUBERNETES, COREDNS, CRANE, ROOTLESSKIT, BUILDKIT)
TESTING = (HELM, ACTIONLINT)
