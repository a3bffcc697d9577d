"""Kills the connector hundreds of times in bad weather, and audits what is left: exit code 1 on any loss or duplicate.

.venv/bin/python tests/chaos/run.py --kills 200 --events 2000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from chaos_run import storm
from chaos_weather import FAMILIES, LONG, SHORT

#: A run that has not ended by then never will, in seconds for each kill, and beside them.
EACH, BESIDE = 30.0, 1200.0


def main() -> int:
    """Plays one storm and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed plays the same plan")
    parser.add_argument("--faults", default=",".join(FAMILIES), help=f"some of {','.join(FAMILIES)}, or none")
    parser.add_argument("--short", action="store_true", help="shorter waits in the engine and in the weather")
    asked = parser.parse_args()
    wanted = frozenset(asked.faults.split(",")) - {"", "none"}
    if not wanted <= frozenset(FAMILIES):
        parser.error(f"--faults knows {', '.join(FAMILIES)}")
    pace = SHORT if asked.short else LONG
    # Ended in good order, the disk is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(
        f"seed {asked.seed}, {asked.kills} kills, {asked.events} events, faults: {', '.join(sorted(wanted))}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        work = storm(
            Path(folder),
            seed=asked.seed,
            kills=asked.kills,
            events=asked.events,
            agents=20,
            pace=pace,
            families=wanted,
        )
        audit = asyncio.run(asyncio.wait_for(work, EACH * asked.kills + BESIDE))
    waits = "the engine's own waits" if pace.looks is None else f"looks at {pace.looks[0]:g} s and {pace.looks[1]:g} s"
    print(audit.table(f"seed {asked.seed}, {waits}"))
    if audit.findings.passed:
        return 0
    print(f"\n{audit.history()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
