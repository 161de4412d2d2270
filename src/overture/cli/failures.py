"""What went wrong, told as one sentence and an exit status."""

from overture.settings import SettingProblem


class Failed(Exception):
    """What a command was asked for cannot be done; the text is a sentence that says why."""


def told(problem: Exception) -> tuple[int, str]:
    """The exit status and the sentence for what went wrong."""
    import psycopg

    from overture.app import StartProblem
    from overture.core.policy import PolicyProblem
    from overture.linkedin.archive import ArchiveRefused
    from overture.linkedin.importing import ImportRefused
    from overture.sim.knobs import KnobProblem
    from overture.store.backup import BackupProblem
    from overture.store.db import Unavailable
    from overture.store.embedded import DataProblem
    from overture.store.migrate import MigrationProblem

    match problem:
        case SettingProblem() | PolicyProblem() | KnobProblem():
            return 2, str(problem)
        case Failed() | StartProblem() | DataProblem() | MigrationProblem() | BackupProblem():
            return 1, str(problem)
        case ArchiveRefused() | ImportRefused():
            return 1, str(problem)
        case Unavailable() | psycopg.OperationalError():
            reason = str(problem.__cause__ or problem).strip().splitlines()
            return 1, f"The database does not answer: {reason[0] if reason else 'no reason given'}"
        case OSError() if problem.filename is not None:
            return 1, f"{problem.filename}: {problem.strerror}."
        case _:
            kind = type(problem).__name__
            return 1, f"This should not happen ({kind}: {problem}). --debug shows where it did."
