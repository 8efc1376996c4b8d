"""Expands recurrence rules with python-dateutil, for the tests of connector-core's calendar module.

Reads one JSON object a line: start (local time), zone, rule, from and until (seconds since 1970), limit.
Answers each with a line: the occurrences from `from` until before `until` as seconds since 1970, in order, at most
`limit`; or null where dateutil takes longer than 0.06 s of CPU time or fails.

Two differences are made up for, as RFC 5545 3.3.10 says it otherwise: DTSTART counts as the first occurrence also
where the rule does not have it; and a rule by weeks of the year without a day takes the weekday of DTSTART.
"""

import json
import signal
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


class TooLong(Exception):
    pass


def too_long(_signal, _frame):
    raise TooLong


def expand(case):
    start = datetime.strptime(case["start"], "%Y%m%dT%H%M%S")
    zone = ZoneInfo(case["zone"])
    parts = dict(part.split("=", 1) for part in case["rule"].split(";"))
    count = int(parts.pop("COUNT", "0"))
    end = parts.pop("UNTIL", None)
    if parts["FREQ"] == "YEARLY" and "BYWEEKNO" in parts and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}:
        parts["BYDAY"] = WEEKDAYS[start.weekday()]

    def instant(local):
        # Of two times that are alike the first; a skipped one by the offset from before (RFC 5545 3.3.5).
        return int(local.replace(tzinfo=zone, fold=0).astimezone(timezone.utc).timestamp())

    def is_over(local):
        if end is None:
            return False
        if len(end) == 8:
            return local.strftime("%Y%m%d") > end
        if end.endswith("Z"):
            last = datetime.strptime(end, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
            return instant(local) > last.timestamp()
        return local > datetime.strptime(end, "%Y%m%dT%H%M%S")

    def locals_():
        yield start
        rule = ";".join(f"{name}={value}" for name, value in parts.items())
        try:
            for local in rrulestr(rule, dtstart=start):
                if local > start:
                    yield local
        except ValueError as error:
            # Hours that the interval never meets, and the like.
            if "empty" not in str(error):
                raise

    found = set()
    for number, local in enumerate(locals_()):
        at = instant(local)
        if (count and number >= count) or at >= case["until"] + 7200:
            break
        if is_over(local) and number > 0:
            if at > case["until"] or end[:8] < local.strftime("%Y%m%d"):
                break
            continue
        if case["from"] <= at < case["until"]:
            found.add(at)
        if len(found) > case["limit"] + 5:
            break
    return sorted(found)[: case["limit"]]


def main():
    signal.signal(signal.SIGPROF, too_long)
    for line in sys.stdin:
        case = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, 0.06)
        try:
            answer = expand(case)
        except (TooLong, IndexError):
            # dateutil fails with an IndexError where a week of a month reaches beyond the year.
            answer = None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer), flush=True)


main()
