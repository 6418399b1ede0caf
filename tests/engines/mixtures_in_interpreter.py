"""Started by test_every_mixture.py with TRITON_INTERPRET=1: draws on the device, by Triton's kernels in its interpreter.

Prints a line of JSON a case: what the comparison with double precision said, "" for nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))

from triton_interpreter import set_up

from tests.engines.mixtures import Case, assert_as_good, on_device, plain_in_float32, truth

set_up()
for case in (Case(*fields) for fields in json.loads(sys.argv[1])):
    try:
        assert_as_good(on_device(case), truth(case), plain_in_float32(case), knows_none=False)
        said = ""
    except AssertionError as error:
        said = str(error)
    print(json.dumps(said), flush=True)
