"""`python -m tests.recorded`: write alphas.json anew, by the plain engine, and print how far each engine is off."""

from __future__ import annotations

import json
import time

from tests.recorded.searches import CASES, FILE, differences, done, noise, search


def main() -> None:
    found = {case.name: done(search(case)) for case in CASES if case.engine == "plain"}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found.items())
    FILE.write_text(f'{{\n"noise": {noise()},\n{lines}\n}}\n', encoding="utf-8")
    for case in CASES:
        started = time.process_time()
        off = differences(done(search(case)), found[case.name], case.algorithm == "random")
        shares = ", ".join(f"{name} {share:.0e}" for name, share in off.items())
        took = time.process_time() - started
        print(f"{case.name}, {case.engine}: {shares} of the tolerance; {took:.1f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
