# syntax=docker/dockerfile:1

# Three images of one file:
#   docker build --target watcher --tag <registry>/watcher:0.1.0 .
#   docker build --target unpack --tag <registry>/unpack:0.1.0 .
#   docker build --target ci --tag <registry>/ci:0.1.0 .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


# The engine: official releases, each held against the checksums that are published beside it.
FROM ${PYTHON_IMAGE} AS engine
ARG TARGETARCH
ARG PULUMI_VERSION=3.274.1
ARG KUBERNETES_PROVIDER_VERSION=4.25.0
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /engine
# The CLI alone: the program runs inline, so that no language host is needed.
RUN releases="https://github.com/pulumi/pulumi/releases/download/v${PULUMI_VERSION}"; \
    archive="pulumi-v${PULUMI_VERSION}-linux-${TARGETARCH/amd64/x64}.tar.gz"; \
    sums="pulumi-${PULUMI_VERSION}-checksums.txt"; \
    curl --fail --silent --show-error --location --retry 3 --remote-name-all "${releases}/${archive}" "${releases}/${sums}"; \
    grep --fixed-strings "  ${archive}" "${sums}" | sha256sum --check --strict -; \
    tar --extract --gzip --file "${archive}" --strip-components=1 --no-same-owner pulumi/pulumi; \
    rm "${archive}" "${sums}"; \
    test "$(./pulumi version)" = "v${PULUMI_VERSION}"
RUN releases="https://github.com/pulumi/pulumi-kubernetes/releases/download/v${KUBERNETES_PROVIDER_VERSION}"; \
    archive="pulumi-resource-kubernetes-v${KUBERNETES_PROVIDER_VERSION}-linux-${TARGETARCH}.tar.gz"; \
    sums="pulumi-kubernetes_${KUBERNETES_PROVIDER_VERSION}_checksums.txt"; \
    curl --fail --silent --show-error --location --retry 3 --remote-name-all "${releases}/${archive}" "${releases}/${sums}"; \
    grep --fixed-strings "  ${archive}" "${sums}" | sha256sum --check --strict -; \
    tar --extract --gzip --file "${archive}" --no-same-owner pulumi-resource-kubernetes; \
    rm "${archive}" "${sums}"


# The libraries of each image, in the versions and with the hashes of the lock.
FROM ${PYTHON_IMAGE} AS libraries
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]
WORKDIR /build
COPY dev/uv.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement uv.txt
COPY pyproject.toml requirements.lock ./

FROM libraries AS watcher-libraries
# What pyproject.toml asks for, pinned; what that asks for in turn, the lock pins.
RUN uv pip compile --quiet --no-deps --no-header --no-annotate --constraint requirements.lock --output-file direct.txt pyproject.toml; \
    uv venv /opt/reviewapp; \
    uv pip install --python /opt/reviewapp --require-hashes --requirement direct.txt --constraint requirements.lock

FROM libraries AS unpack-libraries
RUN grep --only-matching --extended-regexp \
        '^(boto3|httpx|pydantic|pydantic-settings|stamina|zstandard)==[^ ;]+' requirements.lock > direct.txt; \
    uv venv /opt/reviewapp; \
    uv pip install --python /opt/reviewapp --require-hashes --requirement direct.txt --constraint requirements.lock


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
    && rm -rf /var/lib/apt/lists/*
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


FROM ${PYTHON_IMAGE} AS watcher
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/*
# Nothing but the data folder and /tmp is written to.
ENV PATH=/opt/reviewapp/bin:$PATH PYTHONPATH=/opt/reviewapp/source PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp PULUMI_HOME=/tmp/pulumi PULUMI_SKIP_UPDATE_CHECK=true
COPY --from=engine /engine/pulumi /engine/pulumi-resource-kubernetes /usr/local/bin/
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
