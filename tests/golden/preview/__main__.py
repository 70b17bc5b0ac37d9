"""Write every golden file of previews anew, and remove those of cases that are no more."""

from tests.golden.preview import CASES, FOLDER, renderings

for file in FOLDER.iterdir():
    if file.is_file() and file.suffix != ".py":
        file.unlink()
for name, preview in CASES.items():
    for suffix, rendering in renderings(preview).items():
        (FOLDER / f"{name}.{suffix}").write_text(rendering)
