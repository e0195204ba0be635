"""What can go wrong with a server."""


class ServerError(RuntimeError):
    """A server did not do what it was asked to."""


class PortTakenError(ServerError):
    """Somebody else bound the port between its choice and the server's start."""


class ServerMissingError(ServerError):
    """This machine cannot run a kind of server.

    Args:
        reason: What is missing.
        remedy: What to install or to change.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. Remedy: {remedy}.")
        self.reason = reason
        self.remedy = remedy
