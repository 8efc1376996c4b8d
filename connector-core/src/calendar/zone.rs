//! Names of time zones, in the forms in which services and files give them.

use jiff::tz::{Offset, TimeZone};

use super::lines::{self, Line};
use super::windows_zones::WINDOWS_ZONES;
use crate::error::{Error, ErrorKind, Result};

/// The time zone with a name, in any case:
///
/// - a name of the IANA database: `Europe/Berlin`,
/// - one with a prefix, which RFC 5545 3.2.19 allows: `/mozilla.org/20050126_1/Europe/Berlin`,
/// - a name of Windows, as Outlook and Exchange write it: `W. Europe Standard Time`,
/// - an offset: `+01:00`, `UTC+1`, `GMT-0330`; more time east of Greenwich is positive,
/// - a rule as [`zone_of_vtimezone`] makes it: `STD-1DST,M3.5.0,M10.5.0/3` (POSIX `TZ`).
///
/// Errors: no zone has the name.
pub fn time_zone(name: &str) -> Result<TimeZone> {
    let name = name.trim().trim_matches('"').trim();
    let mut tails = std::iter::successors(Some(name), |tail| tail.split_once('/').map(|(_, rest)| rest));
    let found = tails.find_map(named).or_else(|| offset(name));
    let found = found.or_else(|| name.contains(',').then(|| TimeZone::posix(name).ok()).flatten());
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::Bug,
            format!("`{name}` is not the name of a time zone: give an IANA name such as Europe/Berlin"),
        )
    })
}

/// A zone by its name in the IANA database or in Windows.
fn named(name: &str) -> Option<TimeZone> {
    // These are local to the machine, or are no zones.
    if name.is_empty() || name.eq_ignore_ascii_case("localtime") || name.eq_ignore_ascii_case("Etc/Unknown") {
        return None;
    }
    let windows = || {
        let place = WINDOWS_ZONES
            .binary_search_by(|(windows, _)| windows.to_ascii_lowercase().cmp(&name.to_ascii_lowercase()))
            .ok()?;
        TimeZone::get(WINDOWS_ZONES.get(place)?.1).ok()
    };
    TimeZone::get(name).or_else(|_| TimeZone::get(&name.replace(' ', "_"))).ok().or_else(windows)
}

/// `+01:00`, `UTC+1`, `GMT-0330`.
fn offset(name: &str) -> Option<TimeZone> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT")).unwrap_or(&upper);
    seconds(rest).map(TimeZone::fixed)
}

/// `+01:00`, `-0330`, `+1`, `+013015`.
fn seconds(text: &str) -> Option<Offset> {
    let text = text.trim();
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' | '\u{2212}' => -1,
        _ => return None,
    };
    let digits: String = text.chars().skip(1).filter(|c| *c != ':').collect();
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
    let part = |place: usize| digits.get(place..place + 2).map_or(Some(0), |part| part.parse::<i32>().ok());
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    (minutes < 60 && seconds < 60).then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok())?
}

/// The name of the zone that a `VTIMEZONE` component describes, for [`time_zone`] and for the zone of a schedule.
///
/// It is the name that the component has, where that is one of [`time_zone`]; else a rule that says what the
/// component says of the time since its last change, as a POSIX `TZ`.
///
/// Errors: the component describes its zone in a way that has no such rule; the error names it.
pub fn zone_of_vtimezone(component: &str) -> Result<String> {
    let lines: Vec<String> = lines::unfolded(component).collect();
    let lines: Vec<Line<'_>> = lines.iter().filter_map(|line| Line::parse(line)).collect();
    let value = |name: &str| lines.iter().find(|line| line.name == name).map(|line| line.value.trim());
    let mut names = ["X-LIC-LOCATION", "TZID"].into_iter().filter_map(value);
    if let Some(name) = names.find(|name| time_zone(name).is_ok()) {
        return Ok(name.to_owned());
    }
    let named = value("TZID").unwrap_or("without a name");
    rule_of(&lines).ok_or_else(|| {
        Error::new(ErrorKind::Bug, format!("the time zone `{named}` is described in a way that is not supported"))
    })
}

/// The last `STANDARD` or `DAYLIGHT` part of a component.
#[derive(Clone, Default)]
struct Observance {
    begins: String,
    offset: Option<Offset>,
    /// `M3.5.0/2`; `None` means that it does not recur.
    change: Option<String>,
    bad: bool,
}

fn rule_of(lines: &[Line<'_>]) -> Option<String> {
    let (mut standard, mut daylight): (Option<Observance>, Option<Observance>) = (None, None);
    let mut current = Observance::default();
    let mut rule = String::new();
    for line in lines {
        match (line.name.as_str(), line.value.trim()) {
            ("BEGIN", "STANDARD" | "DAYLIGHT") => {
                current = Observance::default();
                rule.clear();
            }
            ("DTSTART", begins) => current.begins = begins.to_owned(),
            ("TZOFFSETTO", to) => current.offset = seconds(to),
            ("RRULE", value) => rule = value.to_ascii_uppercase(),
            ("END", kind @ ("STANDARD" | "DAYLIGHT")) => {
                // A rule that has ended says nothing of the time since.
                if !rule.is_empty() && !rule.contains("UNTIL=") {
                    current.change = change(&rule, &current.begins);
                    current.bad = current.change.is_none();
                }
                let last = if kind == "STANDARD" { &mut standard } else { &mut daylight };
                if last.as_ref().is_none_or(|last| last.begins <= current.begins) {
                    *last = Some(current.clone());
                }
            }
            _ => {}
        }
    }
    let standard = standard?;
    let west = |offset: Offset| {
        let seconds = -offset.seconds();
        let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
        format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    };
    let offset = standard.offset?;
    match daylight.filter(|daylight| daylight.change.is_some() || daylight.bad) {
        Some(daylight) => {
            let name =
                format!("STD{}DST{},{},{}", west(offset), west(daylight.offset?), daylight.change?, standard.change?);
            time_zone(&name).ok()?;
            Some(name)
        }
        None if standard.bad => None,
        None => Some(format!("{offset}")).filter(|name| time_zone(name).is_ok()),
    }
}

/// When a time begins in each year, as POSIX writes it: `M3.5.0/2` is the last Sunday of March at two o'clock.
fn change(rule: &str, begins: &str) -> Option<String> {
    let part = |name: &str| {
        rule.split(';')
            .find_map(|part| part.split_once('=').filter(|(known, _)| *known == name).map(|(_, value)| value))
    };
    if part("FREQ")? != "YEARLY" || part("INTERVAL").is_some_and(|interval| interval != "1") {
        return None;
    }
    let month: u8 = part("BYMONTH")?.parse().ok()?;
    let by_day = part("BYDAY")?;
    let (week, day) = by_day.split_at_checked(by_day.len().checked_sub(2)?)?;
    let day = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"].iter().position(|known| *known == day)?;
    let week = match (week, part("BYMONTHDAY")) {
        ("-1", None) => 5,
        (week, None) => week.trim_start_matches('+').parse::<u8>().ok().filter(|week| (1..=4).contains(week))?,
        // The Sunday from the 8th to the 14th is the second.
        ("", Some(days)) => {
            let days: Vec<u8> = days.split(',').map(|day| day.parse().ok()).collect::<Option<_>>()?;
            let first = *days.first()?;
            let is_week = days.iter().zip(first..).all(|(day, expected)| *day == expected) && days.len() == 7;
            (is_week && first % 7 == 1).then_some((first - 1) / 7 + 1).filter(|week| *week <= 4)?
        }
        _ => return None,
    };
    let time = begins.split_once('T')?.1;
    let part = |place: usize| time.get(place..place + 2)?.parse::<u8>().ok();
    Some(format!("M{month}.{week}.{day}/{}:{:02}:{:02}", part(0)?, part(2)?, part(4)?))
}
