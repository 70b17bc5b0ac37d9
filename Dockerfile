# Three images of one file. `make image` builds the first; or by hand:
#   docker build --target watcher --tag <registry>/watcher:0.1.0 .
#   docker build --target unpack --tag <registry>/unpack:0.1.0 .
#   docker build --target ci --tag <registry>/ci:0.1.0 .
#
# Arguments, for whoever reaches other places than these:
#   PYTHON_IMAGE       a Debian with Python 3.11 or newer, as `python`, and ca-certificates
#   PULUMI_RELEASES, KUBERNETES_PROVIDER_RELEASES
#                      where the engine's releases are, with what is published beside each; file:// will do
#   PIP_INDEX_URL      the Python package index
#   AWS_PROVIDER_VERSION
#                      AWS's provider too, in the version of pulumi-aws in requirements.lock, for the setting aws_bucket
# and the secret `authorities`, a bundle of certificates by which the index is verified in place of the base's.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


# The engine: official releases, each held against the checksums that are published beside it.
FROM ${PYTHON_IMAGE} AS engine
ARG TARGETARCH
ARG PULUMI_VERSION=3.274.1
ARG KUBERNETES_PROVIDER_VERSION=4.25.0
ARG PULUMI_RELEASES=https://github.com/pulumi/pulumi/releases/download
ARG KUBERNETES_PROVIDER_RELEASES=https://github.com/pulumi/pulumi-kubernetes/releases/download
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /engine
# The CLI alone: the program runs inline, so that no language host is needed.
RUN releases="${PULUMI_RELEASES}/v${PULUMI_VERSION}"; \
    archive="pulumi-v${PULUMI_VERSION}-linux-${TARGETARCH/amd64/x64}.tar.gz"; \
    sums="pulumi-${PULUMI_VERSION}-checksums.txt"; \
    curl --fail --silent --show-error --location --retry 3 --remote-name-all "${releases}/${archive}" "${releases}/${sums}"; \
    grep --fixed-strings "  ${archive}" "${sums}" | sha256sum --check --strict -; \
    tar --extract --gzip --file "${archive}" --strip-components=1 --no-same-owner pulumi/pulumi; \
    rm "${archive}" "${sums}"; \
    version="$(./pulumi version)"; \
    test "${version#v}" = "${PULUMI_VERSION}"
RUN releases="${KUBERNETES_PROVIDER_RELEASES}/v${KUBERNETES_PROVIDER_VERSION}"; \
    archive="pulumi-resource-kubernetes-v${KUBERNETES_PROVIDER_VERSION}-linux-${TARGETARCH}.tar.gz"; \
    sums="pulumi-kubernetes_${KUBERNETES_PROVIDER_VERSION}_checksums.txt"; \
    curl --fail --silent --show-error --location --retry 3 --remote-name-all "${releases}/${archive}" "${releases}/${sums}"; \
    grep --fixed-strings "  ${archive}" "${sums}" | sha256sum --check --strict -; \
    tar --extract --gzip --file "${archive}" --no-same-owner pulumi-resource-kubernetes; \
    rm "${archive}" "${sums}"
# From where the CLI has plugins; it is no part of the image otherwise.
ARG AWS_PROVIDER_VERSION=
RUN test -z "${AWS_PROVIDER_VERSION}" || { \
    export PULUMI_HOME=/engine/home; \
    ./pulumi plugin install resource aws "${AWS_PROVIDER_VERSION}"; \
    mv "home/plugins/resource-aws-v${AWS_PROVIDER_VERSION}/pulumi-resource-aws" .; \
    rm -r home; \
    }


# The libraries of each image, in the versions and with the hashes of the lock.
FROM ${PYTHON_IMAGE} AS libraries
ARG PIP_INDEX_URL=https://pypi.org/simple
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_DEFAULT_INDEX=${PIP_INDEX_URL}
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]
WORKDIR /build
COPY dev/uv.txt ./
RUN --mount=type=secret,id=authorities,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv uv; \
    uv/bin/pip install --no-cache-dir --require-hashes --requirement uv.txt
ENV PATH=/build/uv/bin:$PATH
COPY pyproject.toml requirements.lock ./

FROM libraries AS watcher-libraries
ARG AWS_PROVIDER_VERSION=
# What pyproject.toml asks for, pinned; what that asks for in turn, the lock pins. Without the services of AWS that nothing
# here speaks to, a debugger, a second client of Kubernetes that nothing imports, and a second zstandard for other Pythons.
RUN --mount=type=secret,id=authorities,target=/etc/ssl/certs/ca-certificates.crt \
    uv pip compile --quiet --no-deps --no-header --no-annotate --constraint requirements.lock --output-file direct.txt \
        ${AWS_PROVIDER_VERSION:+--extra aws} pyproject.toml; \
    uv venv /opt/reviewapp; \
    uv pip install --python /opt/reviewapp --require-hashes --requirement direct.txt --constraint requirements.lock; \
    cd /opt/reviewapp/lib/python3.*/site-packages; \
    find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name iam ! -name eks ! -name 'sso*' ! -name signin -exec rm -r {} +; \
    rm -r debugpy kubernetes/aio zstandard/_cffi.*

FROM libraries AS unpack-libraries
RUN --mount=type=secret,id=authorities,target=/etc/ssl/certs/ca-certificates.crt \
    grep --only-matching --extended-regexp \
        '^(boto3|httpx|pydantic|pydantic-settings|stamina|zstandard)==[^ ;]+' requirements.lock > direct.txt; \
    uv venv /opt/reviewapp; \
    uv pip install --python /opt/reviewapp --require-hashes --requirement direct.txt --constraint requirements.lock; \
    cd /opt/reviewapp/lib/python3.*/site-packages; \
    find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -r {} +; \
    rm -r zstandard/_cffi.*


# What the build's init container runs: it fetches a tarball and unpacks it.
FROM ${PYTHON_IMAGE} AS unpack
ENV PATH=/opt/reviewapp/bin:$PATH PYTHONPATH=/opt/reviewapp/source PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=unpack-libraries /opt/reviewapp /opt/reviewapp
COPY builder /opt/reviewapp/source/builder
RUN ["python", "-m", "compileall", "-q", "/opt/reviewapp/source"]
USER 1000:1000
ENTRYPOINT ["python", "-m", "builder.unpack"]


# What CI jobs run: submit, comment and close, with git beside them, and no engine.
FROM ${PYTHON_IMAGE} AS ci
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# The checkout of a CI job is another user's: the runner's, who made it.
RUN git config --system --add safe.directory '*'
ENV PATH=/opt/reviewapp/bin:$PATH PYTHONPATH=/opt/reviewapp/source PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=watcher-libraries /opt/reviewapp /opt/reviewapp
COPY stacks /opt/reviewapp/source/stacks
COPY provisioner /opt/reviewapp/source/provisioner
COPY bot /opt/reviewapp/source/bot
COPY watcher /opt/reviewapp/source/watcher
RUN python -m compileall -q /opt/reviewapp/source \
    && printf '#!/bin/sh\nexec python -m watcher "$@"\n' > /usr/local/bin/reviewapp \
    && chmod 755 /usr/local/bin/reviewapp
USER 10001:10001
# Runners start a shell of their own in it.
CMD ["reviewapp", "--help"]


# What runs in the cluster, and turns ReviewApps into stacks.
FROM ${PYTHON_IMAGE} AS watcher
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# Nothing but the data folder and /tmp is written to.
ENV PATH=/opt/reviewapp/bin:$PATH PYTHONPATH=/opt/reviewapp/source PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp PULUMI_HOME=/tmp/pulumi PULUMI_SKIP_UPDATE_CHECK=true
COPY --from=engine /engine/pulumi* /usr/local/bin/
COPY --from=watcher-libraries /opt/reviewapp /opt/reviewapp
COPY stacks /opt/reviewapp/source/stacks
COPY provisioner /opt/reviewapp/source/provisioner
COPY bot /opt/reviewapp/source/bot
COPY watcher /opt/reviewapp/source/watcher
RUN python -m compileall -q /opt/reviewapp/source \
    && printf '#!/bin/sh\nexec python -m watcher "$@"\n' > /usr/local/bin/reviewapp \
    && chmod 755 /usr/local/bin/reviewapp \
    && install --directory --owner 10001 --group 10001 --mode 700 /var/lib/reviewapp
USER 10001:10001
EXPOSE 8081
# An engine that is killed leaves children behind: tini reaps them.
ENTRYPOINT ["/usr/bin/tini", "--", "reviewapp"]
CMD ["watch"]
