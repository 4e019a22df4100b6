"""The costs that the project promises."""

import json

from jos import costs, rows
from jos.grade import Bench, check, check_that


@check("Costs", 0, "all costs are within their limits (make bench shows them against their targets)", lane="bochs")
def targets(bench: Bench) -> None:
    measured = costs.measure_limits(bench.obj, bench.folder)
    (bench.folder / "bench.json").write_text(json.dumps(rows.as_dict(measured), indent=1) + "\n")
    over = [f"{row.operation}: {row.median:,}, limit {row.limit:,}" for row in measured if row.over_limit]
    check_that(not over, "every cost within its limit", "\n".join(over))
