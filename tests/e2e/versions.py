"""Versions of the sample app by what they do: the commits that the tests open and push."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable

import zstandard

from dev.target import BASE_IMAGE
from tests.unit.builder import archives

# Its page of the environment is written at each start, to a folder that is its own.
_TELLING = {
    "Dockerfile": """FROM {base}
COPY start.sh /start.sh
COPY www /www
RUN mkdir -m 0777 /site
USER 1000
CMD ["sh", "/start.sh"]
""",
    "start.sh": """trap 'kill $server; exit 0' TERM
cp /www/* /site
env > /site/environment
httpd -f -p 8080 -h /site &
server=$!
wait $server
""",
}

_SECRETIVE = """FROM {base} AS unused
RUN exit 1
FROM {base} AS wanted
ARG GREETING=none
COPY start.sh /start.sh
COPY www /www
RUN --mount=type=secret,id=tokens/npm --mount=type=secret,id=tokens/.netrc \\
    sha256sum /run/secrets/npm /run/secrets/.netrc > /www/asked.txt
RUN (ls -A /run/secrets /build-secrets; cat /run/secrets/* /build-secrets/*/* /proc/[0-9]*/root/build-secrets/*/*; \\
    env) > /www/found.txt 2>&1 || true
RUN echo "$GREETING" > /www/greeting.txt
USER 1000
CMD ["sh", "/start.sh"]
FROM {base}
RUN exit 1
"""

PUSHES = [f"push {number}" for number in range(20)]

_FILES: dict[str, dict[str, str]] = {
    "first": {},
    "second": {},
    "third": {},
    "telling": _TELLING,
    "telling again": _TELLING,
    "broken": {"Dockerfile": "FROM {base}\nRUN echo the reason is here >&2 && exit 7\n"},
    "crashing": {"Dockerfile": 'FROM {base}\nUSER 1000\nCMD ["sh", "-c", "echo there is no database >&2; exit 3"]\n'},
    # Long enough to build that the watcher can be killed and started again meanwhile.
    "slow": {
        "Dockerfile": """FROM {base}
RUN sleep 3
COPY start.sh /start.sh
COPY www /www
USER 1000
CMD ["sh", "/start.sh"]
"""
    },
    "secretive": {
        "docker/review.Dockerfile": _SECRETIVE,
        "docker/site/www/index.html": "the site",
        "docker/site/start.sh": "trap 'kill $!; exit 0' TERM\nhttpd -f -p 8080 -h /www & wait $!\n",
    },
    **{push: {} for push in PUSHES},
    "root": {"Dockerfile": 'FROM {base}\nCOPY start.sh /start.sh\nCOPY www /www\nCMD ["sh", "/start.sh"]\n'},
    "from elsewhere": {"Dockerfile": "FROM docker.io/library/busybox:1\nRUN true\n"},
    "endless": {"Dockerfile": "FROM {base}\nRUN sleep 600\n"},
    **{version: {} for version in ("by zstd", "not compressed", "hostile archive", "no archive")},
}

REPACKED: dict[str, Callable[[bytes], bytes]] = {
    "by zstd": lambda tarball: zstandard.ZstdCompressor().compress(gzip.decompress(tarball)),
    "not compressed": gzip.decompress,
    "hostile archive": lambda _: archives.tar_gz(archives.symbolic_link("out", "/"), archives.regular("out/evil")),
    "no archive": lambda _: b"<html>Please log in</html>",
}
"""What is served for a version in place of its tarball by git."""


def files() -> dict[str, dict[str, str]]:
    """Return, by the name of a version, the files that it has other than the sample app."""
    base = os.environ[BASE_IMAGE]
    return {
        version: {path: content.replace("{base}", base) for path, content in changed.items()}
        for version, changed in _FILES.items()
    }
