"""Which TCP ports of the loopback interface are free."""

import errno
import socket

from redrive.cli.stack.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK) -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on the port now.

    Binding finds listeners on Linux. On macOS a bind beside a listener on all interfaces succeeds, so a connection is
    tried as well.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port whose last connections are in TIME_WAIT looks taken right after a restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return not is_listening(port, LOOPBACK if host in {"0.0.0.0", "::"} else host)  # noqa: S104 - compared, not bound


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a connection to the port is accepted."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def ensure_free(port: int, *, what: str, option: str, host: str = LOOPBACK) -> None:
    """Refuse a port that is taken.

    Args:
        port: The port that is wanted; 0 stands for any and is always fine.
        what: The server that wants it, for the message.
        option: The command-line option that changes it, for the message.
        host: The interface to listen on.

    Raises:
        PortTakenError: Something listens there already, or the system does not let us.
    """
    if port and not is_free(port, host):
        message = f"port {port} for {what} is taken; stop the program that uses it, or choose another with {option}"
        raise PortTakenError(message)
