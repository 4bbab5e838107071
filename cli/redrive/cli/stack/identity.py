"""The account that a server runs as.

PostgreSQL refuses to run as root, and development containers are root. So a root parent starts it as `nobody`. Its
binaries and its data may lie below a folder that only root may enter (a venv below /root, mode 0700), so on Linux
`nobody` keeps one capability, to pass such folders; it still owns nothing but its own data folder.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Identity:
    """How to run a command as another account: a prefix for it, or arguments for `subprocess`.

    Attributes:
        owner: User and group id that must own the files of the process; None for the parent's own.
        prefix: Goes in front of the command.
        user: For `subprocess.Popen(user=…)`.
        group: For `subprocess.Popen(group=…)`.
        extra_groups: For `subprocess.Popen(extra_groups=…)`.
    """

    owner: tuple[int, int] | None = None
    prefix: Sequence[str] = field(default=())
    user: int | None = None
    group: int | None = None
    extra_groups: Sequence[int] | None = None


def unprivileged() -> Identity:
    """Return the identity for a program that refuses to run as root."""
    if os.geteuid() != 0:
        return Identity()
    uid, gid = _nobody()
    prefix = _keep_access(uid, gid)
    if prefix is not None:
        return Identity(owner=(uid, gid), prefix=prefix)
    return Identity(owner=(uid, gid), user=uid, group=gid, extra_groups=())


def _nobody() -> tuple[int, int]:
    """Return the ids of `nobody`; on macOS they are -2, which is not the usual number."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid


def _keep_access(uid: int, gid: int) -> list[str] | None:
    """Return the `setpriv` call that changes the account and keeps CAP_DAC_OVERRIDE, or None where it does not work."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    if program is None:
        return None
    prefix = [
        program,
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        # Without this bit the kernel drops the capability when the user id changes.
        "--securebits=+no_setuid_fixup",
    ]
    # A container may have taken the capability away, and busybox's setpriv knows fewer options.
    finished = subprocess.run([*prefix, "true"], capture_output=True, check=False)  # noqa: S603 - fixed arguments
    return prefix if finished.returncode == 0 else None
