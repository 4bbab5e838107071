"""What can go wrong while the development stack starts.

StackError              one line for the terminal, exit code 1
├── PortTakenError      another program listens there, exit code 2
├── DataFolderError     the data folder cannot be used, exit code 2
└── StartCancelledError the person pressed Ctrl-C during the start
"""


class StackError(Exception):
    """The development stack could not be started; the message is one line for a person."""

    exit_code = 1


class PortTakenError(StackError):
    """Another program listens on a port that the stack needs."""

    exit_code = 2


class DataFolderError(StackError):
    """The data folder is in use, or was made by something that this version cannot read."""

    exit_code = 2


class StartCancelledError(StackError):
    """The start was interrupted before the server was ready."""

    exit_code = 130
