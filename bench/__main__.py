"""`python -m bench [NAME ...] [--quick]`: runs the named benchmarks, or all."""

import sys

from bench import (
    console,
    delivery,
    http,
    jobs,
    overload,
    pages,
    reads,
    sends,
    simulate,
    start,
    streams,
    unavailable,
)

BENCHMARKS = {
    "sends": sends.main,
    "http": http.main,
    "reads": reads.main,
    "pages": pages.main,
    "start": start.main,
    "streams": streams.main,
    "delivery": delivery.main,
    "jobs": jobs.main,
    "unavailable": unavailable.main,
    "simulate": simulate.main,
    "console": console.main,
    "overload": overload.main,
}


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    options = [option for option in sys.argv[1:] if option.startswith("-")]
    for name in names or BENCHMARKS:
        if name not in BENCHMARKS:
            raise SystemExit(f"There is no benchmark {name!r}: choose of {', '.join(BENCHMARKS)}.")
        BENCHMARKS[name](options)


if __name__ == "__main__":
    main()
