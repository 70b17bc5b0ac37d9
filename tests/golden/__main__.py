"""Write every golden file anew, and remove those of variants that are no more."""

from tests.golden import FOLDER, VARIANTS, render

for file in FOLDER.glob("*.yaml"):
    file.unlink()
for name, variant in VARIANTS.items():
    (FOLDER / f"{name}.yaml").write_text(render(variant))
