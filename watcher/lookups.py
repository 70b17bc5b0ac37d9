"""Look up what a ReviewApp's next step depends on and no informer knows. Asks only where the answer decides."""

from __future__ import annotations

from provisioner.errors import SpecRefused
from provisioner.review_app import parse
from provisioner.settings import StackSettings
from watcher import builds
from watcher.builds import NOTHING_FOUND, Lookups
from watcher.decide import View
from watcher.registry import Registry


def look_up(view: View, settings: StackSettings, registry: Registry) -> Lookups:
    """Return what is to be known for the next step of a ReviewApp.

    Before a commit is built, whether its image is in the registry: after a revert, or in a pull request that was opened
    again. After a build of which the Pod is gone, what came out of it.
    """
    try:
        wanted = builds.wanted(
            view.review_app, parse(view.review_app.get("spec")), settings, view.previous, view.jobs, view.pods
        )
    except SpecRefused:
        return NOTHING_FOUND
    is_lost = wanted.has_succeeded and not wanted.is_deployed and wanted.reported is None
    return Lookups(image=registry.digest(wanted.build.image) if is_lost or not wanted.is_known else None)
