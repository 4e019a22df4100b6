"""The costs that the project promises."""

import json

from jos import costs
from jos.grade import Bench, check, check_that


@check("Costs", 5, "all costs are within their targets (make bench)", lane="bochs")
def targets(bench: Bench) -> None:
    rows = costs.measure(bench.obj, bench.folder)
    (bench.folder / "bench.json").write_text(json.dumps(costs.as_dict(rows), indent=1) + "\n")
    missed = [f"{row.operation}: {row.median:,}, target {row.target:,}" for row in rows if row.missed]
    check_that(not missed, "every cost within its target", "\n".join(missed))
