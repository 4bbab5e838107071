"""A plain script: its failures are retried by itself, as long as it runs, or by any other node of its group.

redrive dev                               # in another terminal
python examples/script.py
"""

import os

from redrive.sdk import Redrive, current_attempt, retry_after

redrive = Redrive(os.environ.get("REDRIVE_URL", "http://127.0.0.1:8600"), group="scripts")


@redrive.retryable("import-file", name="script.load", mode="only_remote", raise_on_exhausted=False)
def load(name: str) -> int | None:
    if current_attempt() is None:
        raise retry_after(2, "the file is still being written")
    return len(name)


if __name__ == "__main__":
    with redrive.serve() as url:
        load("o-1")
        print(f"reported; attempts come to {url}", flush=True)
        input("press Enter to stop\n")
