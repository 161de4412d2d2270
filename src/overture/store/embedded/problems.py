"""Why a data folder cannot be used."""


class DataProblem(Exception):
    """The data folder cannot be used; the message says why and what can be done."""


class DataInUse(DataProblem):
    """Another program, or another machine, uses the folder."""


class DataNotOurs(DataProblem):
    """The folder holds something else than Overture's data."""


class DataNotReachable(DataProblem):
    """The folder, or PostgreSQL itself, cannot be read, written or run by this user."""


class DataVersion(DataProblem):
    """The folder was written by another major version of PostgreSQL."""


class DatabaseFailed(DataProblem):
    """PostgreSQL ended instead of starting; the message carries the end of its log."""
