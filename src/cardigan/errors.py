"""The one exception that users are meant to see."""


class CardiganError(Exception):
    """A problem the user can mend, told in one line: what was wrong, where, what is allowed.

    The command line prints it and exits with code 2; the Python API lets it through. Whatever it quotes (a file's
    name, a key, another library's message), it stays one line.
    """

    def __init__(self, message: object) -> None:
        super().__init__(" ".join(str(message).split()))
