"""The exception for users' mistakes, which the command line reports without a traceback."""


class UserError(ValueError):
    """A user's mistake: one line naming the file, record or option, the value and the choices.

    The command line prints the message without a traceback and exits with status 2.
    """
