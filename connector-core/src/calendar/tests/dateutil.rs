//! Generated rules, compared occurrence by occurrence with python-dateutil.
//!
//! `cargo xtask test` installs it. Where it is missing the test says so and passes. The seed is printed, and is taken
//! from `CONNECTOR_TEST_SEED` if that is set.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::{recurring, series};
use crate::model::When;

const CASES: usize = 2_000;

/// Occurrences of a case that are compared.
const LIMIT: usize = 200;

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"];

/// SplitMix64: the same numbers for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From one number to another, both included.
    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.next() % u64::try_from(to - from + 1).unwrap()).unwrap()
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % u64::try_from(of.len()).unwrap()).unwrap()]
    }

    /// Some numbers, without zero where there are negative ones.
    fn numbers(&mut self, from: i64, to: i64, at_most: i64) -> String {
        let wanted = self.number(1, at_most);
        let mut numbers: Vec<i64> = (0..wanted).map(|_| self.number(from, to)).collect();
        numbers.retain(|number| *number != 0 || from >= 0);
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            numbers.push(to);
        }
        numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    }
}

struct Case {
    start: DateTime,
    zone: &'static str,
    rule: String,
    from: Timestamp,
    until: Timestamp,
}

const DAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

fn case(random: &mut Random) -> Case {
    let frequency = random.one(&["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
    let mut start: DateTime = "2024-01-01T00:00:00".parse().unwrap();
    start = start
        .checked_add(random.number(0, 1_200).days().hours(random.number(0, 23)).minutes(random.number(0, 59)))
        .unwrap();
    if random.once_in(4) {
        start = start.checked_add(random.number(0, 59).seconds()).unwrap();
    }
    let most = match frequency {
        "SECONDLY" => 400,
        "MINUTELY" => 100,
        "HOURLY" => 30,
        "DAILY" => 20,
        _ => 5,
    };
    let interval = if random.once_in(2) { 1 } else { random.number(1, most) };
    let mut rule = format!("FREQ={frequency}");
    let mut part = |text: String| write!(rule, ";{text}").unwrap();
    if interval > 1 || random.once_in(3) {
        part(format!("INTERVAL={interval}"));
    }
    let (week_start, first_of_week) = random.one(&DAYS);
    if random.once_in(3) {
        part(format!("WKST={week_start}"));
    }
    // Of these, rules for hours and less would hardly have any in the time that is compared.
    let short = matches!(frequency, "SECONDLY" | "MINUTELY");
    if random.once_in(if short { 40 } else { 4 }) {
        part(format!("BYMONTH={}", random.numbers(1, 12, 6)));
    }
    let yearly = frequency == "YEARLY";
    let by_week = yearly && random.once_in(5);
    if by_week {
        // dateutil misses the days of January that belong to the last week of the year before.
        part(format!("BYWEEKNO={}", random.numbers(1, 51, 6)));
    }
    if matches!(frequency, "YEARLY" | "DAILY" | "HOURLY") && random.once_in(6) {
        part(format!("BYYEARDAY={}", random.numbers(-366, 366, 40)));
    }
    if random.once_in(if short { 40 } else { 4 }) {
        part(format!("BYMONTHDAY={}", random.numbers(-31, 31, 8)));
    }
    if random.once_in(if short { 20 } else { 3 }) {
        // dateutil joins no numbered days with others, and has no weeks beyond those of a month or year.
        let numbered = matches!(frequency, "MONTHLY" | "YEARLY") && !by_week && random.once_in(2);
        let wanted = random.number(1, 4);
        let mut days: Vec<String> = (0..wanted)
            .map(|_| {
                let (day, _) = random.one(&DAYS);
                let weeks = if yearly { 20 } else { 5 };
                let number = random.number(1, weeks) * random.one(&[1, -1]);
                if numbered { format!("{number}{day}") } else { day.to_owned() }
            })
            .collect();
        days.sort();
        days.dedup();
        part(format!("BYDAY={}", days.join(",")));
    }
    if random.once_in(4) {
        part(format!("BYHOUR={}", random.numbers(0, 23, 4)));
    }
    if random.once_in(5) {
        part(format!("BYMINUTE={}", random.numbers(0, 59, 4)));
    }
    if random.once_in(8) {
        part(format!("BYSECOND={}", random.numbers(0, 59, 3)));
    }
    if random.once_in(5) {
        part(format!("BYSETPOS={}", random.numbers(-4, 4, 3)));
        if frequency == "WEEKLY" {
            // dateutil counts positions in the first week from the start on.
            let back = i64::from(start.date().weekday().since(if rule.contains("WKST") {
                first_of_week
            } else {
                Weekday::Monday
            }));
            start = start.checked_sub(back.days()).unwrap().date().at(0, 0, 0, 0);
        }
    }
    let zone = random.one(&ZONES);
    let tz = TimeZone::get(zone).unwrap();
    let hours = match frequency {
        "SECONDLY" => 2,
        "MINUTELY" => 48,
        "HOURLY" => 24 * 60,
        "DAILY" => 24 * 500,
        "WEEKLY" => 24 * 1_000,
        "MONTHLY" => 24 * 3_000,
        _ => 24 * 366 * 25,
    };
    let begins = tz.to_ambiguous_timestamp(start).compatible().unwrap();
    let until = begins + SignedDuration::from_hours(hours);
    let minutes = |random: &mut Random| SignedDuration::from_mins(random.number(0, hours * 60));
    match random.number(0, 4) {
        0 => write!(rule, ";COUNT={}", random.number(1, 60)).unwrap(),
        1 => {
            let end = (begins + minutes(random)).to_zoned(TimeZone::UTC);
            write!(rule, ";UNTIL={}", end.strftime("%Y%m%dT%H%M%SZ")).unwrap();
        }
        2 => {
            let end = tz.to_datetime(begins + minutes(random));
            write!(rule, ";UNTIL={}", end.strftime(random.one(&["%Y%m%d", "%Y%m%dT%H%M%S"]))).unwrap();
        }
        _ => {}
    }
    let from = if random.once_in(2) { begins } else { begins + minutes(random) / 2 };
    Case { start, zone, rule, from, until }
}

/// The Python that has dateutil.
fn python() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let python = target.join("dateutil/bin/python");
    if python.exists() { Ok(python) } else { Err(format!("{} is missing", python.display())) }
}

/// What dateutil says of each; `None` where it takes too long.
fn expected(cases: &[Case], python: &Path) -> Vec<Option<Vec<i64>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dateutil/expand.py");
    let mut command = Command::new(python);
    let mut child =
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python can be started");
    let mut input = child.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| {
            let Case { start, zone, rule, from, until } = case;
            let start = start.strftime("%Y%m%dT%H%M%S").to_string();
            let (from, until) = (from.as_second(), until.as_second());
            json!({ "start": start, "zone": zone, "rule": rule, "from": from, "until": until, "limit": LIMIT })
                .to_string()
                + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the script failed");
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers = |line: &str| {
        let said: Value = serde_json::from_str(line).unwrap();
        said.as_array().map(|numbers| numbers.iter().filter_map(Value::as_i64).collect())
    };
    said.lines().map(numbers).collect()
}

#[test]
fn generated_rules_are_as_dateutil_says() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            return eprintln!("skipped, as python-dateutil is not installed: {reason}; run `cargo xtask test`");
        }
    };
    let seed = std::env::var("CONNECTOR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    eprintln!("CONNECTOR_TEST_SEED={seed}");
    let mut random = Random(seed);
    let cases: Vec<Case> = (0..CASES).map(|_| case(&mut random)).collect();
    let expected = expected(&cases, &python);
    assert_eq!(expected.len(), cases.len());
    let (mut compared, mut occurrences, mut wrong) = (0, 0, Vec::new());
    for (case, expected) in cases.iter().zip(expected) {
        let Some(expected) = expected else { continue };
        let zone = TimeZone::get(case.zone).unwrap();
        let start = zone.to_ambiguous_timestamp(case.start).compatible().unwrap();
        let event = series([recurring(start, case.zone, &[&format!("RRULE:{}", case.rule)])]);
        let found = match event.occurrences(case.from, case.until) {
            Ok(found) => found,
            Err(error) if error.to_string().contains("10000") => continue,
            Err(error) => panic!("{} of {}: {error}", case.rule, case.start),
        };
        let found: Vec<i64> = found
            .iter()
            .take(LIMIT)
            .map(|occurrence| match occurrence.start {
                When::At(at) => at.as_second(),
                other => panic!("{other:?}"),
            })
            .collect();
        compared += 1;
        occurrences += expected.len();
        if found != expected {
            let time = |second: Option<&i64>| second.map(|second| Timestamp::from_second(*second).unwrap());
            let place = found.iter().zip(&expected).take_while(|(ours, theirs)| ours == theirs).count();
            wrong.push(format!(
                "{} in {} from {}: {} here and {} by dateutil; the {place}. is {:?} here and {:?} by dateutil",
                case.rule,
                case.zone,
                case.start,
                found.len(),
                expected.len(),
                time(found.get(place)),
                time(expected.get(place)),
            ));
        }
    }
    eprintln!("{compared} rules and {occurrences} occurrences compared");
    assert!(
        wrong.is_empty(),
        "{} rules differ, the first ones:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(compared > CASES * 8 / 10, "only {compared} rules could be compared");
}
