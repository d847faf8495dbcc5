"""The one exception that users are meant to see."""


class CardiganError(Exception):
    """A problem the user can mend, told in one line: what was wrong, where, what is allowed.

    The command line prints it and exits with code 2; the Python API lets it through.
    """
