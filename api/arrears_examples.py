"""Examples of the operations on arrears and collections."""

from __future__ import annotations

from typing import Any

ARREARS_EXAMPLES: dict[str, dict[str, Any]] = {
    "get_portfolio_at_risk": {
        "answer": {
            "seq": 412,
            "on": "2026-06-30",
            "assets": [
                {
                    "asset": "USD/2",
                    "funding": "own",
                    "loans": 3,
                    "outstanding": 1_200_000,
                    "at_risk": [
                        {
                            "name": "PAR1",
                            "from_days": 1,
                            "loans": 2,
                            "outstanding": 700_000,
                            "ratio": "58.33",
                        },
                        {
                            "name": "PAR30",
                            "from_days": 31,
                            "loans": 1,
                            "outstanding": 300_000,
                            "ratio": "25.00",
                        },
                        {"name": "PAR60", "from_days": 61, "loans": 0, "outstanding": 0, "ratio": "0.00"},
                        {"name": "PAR90", "from_days": 91, "loans": 0, "outstanding": 0, "ratio": "0.00"},
                    ],
                    "buckets": [
                        {"bucket": "current", "loans": 1, "outstanding": 500_000},
                        {"bucket": "1-30", "loans": 1, "outstanding": 400_000},
                        {"bucket": "31-60", "loans": 1, "outstanding": 300_000},
                    ],
                }
            ],
        }
    },
}
