"""What an application pays for importing the SDK's side of the core."""

import json
import subprocess
import sys

import pytest

SDK_MODULES = ["policy", "backoff", "documents", "wire", "signature", "retry_after", "decision", "errors", "states"]


def run(code: str, *arguments: str) -> str:
    """Run `code` in a fresh interpreter, where nothing is imported yet, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_modules_that_the_sdk_uses_import_nothing_outside_the_standard_library() -> None:
    imports = "\n".join(f"import redrive.core.{module}" for module in SDK_MODULES)
    # The interpreter's own start-up (site, the hooks of editable installs) is not ours: what comes on top counts.
    out = run(
        f"""
import sys, json
before = set(sys.modules)
{imports}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    )

    top_level = {name.partition(".")[0] for name in json.loads(out)}
    # zoneinfo asks sysconfig for its paths, whose data module is named after the platform.
    foreign = {name for name in top_level - sys.stdlib_module_names if not name.startswith("_sysconfigdata_")}
    assert foreign == {"redrive"}


CRON = '{"backoff": {"kind": "cron", "expression": "0 3 * * *", "timezone": "UTC"}}'
EXPONENTIAL = '{"backoff": {"kind": "exponential"}}'
PARSE = """
import sys, json
from redrive.core.policy import parse
policy = parse(json.loads(sys.argv[1]))
"""


@pytest.mark.parametrize(("policy", "imported"), [(CRON, True), (EXPONENTIAL, False), ("{}", False)])
def test_croniter_is_imported_only_when_a_cron_backoff_is_used(policy: str, imported: bool) -> None:
    assert run(PARSE + "print('croniter' in sys.modules)", policy).strip() == str(imported)


def test_a_cron_policy_can_be_written_where_croniter_is_not_installed() -> None:
    """`pip install redrive` is httpx alone; the server checks the expression when the policy reaches it."""
    out = run("import sys; sys.modules['croniter'] = None" + PARSE + "print(policy.backoff.kind)", CRON)

    assert out.strip() == "cron"
