"""What the plain CLI runs (`pulumi preview` and the like): the same program, its inputs from the stack's config."""

import sys
from pathlib import Path

# The CLI runs this folder, which puts it on the path: there, `secrets.py` would be taken for Python's own.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import pulumi  # noqa: E402 - only now are imports what they seem.
from pydantic import ValidationError  # noqa: E402

from stacks.inputs import StackInputs  # noqa: E402
from stacks.review_app import declare  # noqa: E402


def main() -> None:
    """Declare what the config `reviewapp:inputs` says.

    Raises:
        pulumi.RunError: there is no such config, it does not hold, or it is another stack's.
    """
    config = pulumi.Config("reviewapp").require("inputs")
    try:
        inputs = StackInputs.model_validate_json(config)
    except ValidationError as error:
        # Without the values: they hold secrets.
        wrong = "; ".join(
            f"{'.'.join(map(str, detail['loc'])) or 'the whole'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        raise pulumi.RunError(f"reviewapp:inputs does not hold: {wrong}") from None
    if inputs.stack != pulumi.get_stack():
        raise pulumi.RunError(
            f"reviewapp:inputs are those of the stack {inputs.stack}: select that, or set its own inputs"
        )
    declare(inputs)


if __name__ == "__main__":
    main()
