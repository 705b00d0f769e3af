"""The one error that a user can mend."""


class InputError(Exception):
    """Something the user can mend: one line that says where, what is wrong and what to do.

    The command line prints it as `ERROR: …` and exits with code 2. Anything else that is raised
    is our bug and keeps its traceback.
    """


class Stopped(Exception):
    """A signal asked the job to stop; what was finished is stored, and a rerun resumes."""
