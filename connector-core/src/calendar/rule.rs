//! Recurrence rules: RFC 5545 3.3.10, with `RSCALE=GREGORIAN` and `SKIP` of RFC 7529.
//!
//! A rule is expanded in local time without a zone, period by period: the days of a year, month, week or day that the
//! rule selects, and on each of them its times. What a local time is in a zone is decided in
//! [`recurrence`](super::recurrence), except for an `UNTIL` in UTC, which is compared as an instant.
//!
//! Where RFC 5545 leaves a choice: a number before a weekday is ignored in rules that are neither monthly nor yearly,
//! in which it has no meaning; a `COUNT` below one is no `COUNT`, as some programs write `-1` or `0` for none.
//!
//! The alternatives were `rrule` 0.14, which this module replaced, and `calcard` 0.3, whose expansion is a fork of it.
//! Both have no `SKIP`.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// Days and times that are looked at in the expansion of one rule.
const MAX_STEPS: u32 = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Frequency {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// What becomes of a day that a month or year does not have (RFC 7529 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Omit,
    Backward,
    Forward,
}

/// When a rule ends; what takes place at that moment is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Day(Date),
    Local(DateTime),
    Utc(Timestamp),
}

/// A day of the week, with the week of the month or year that it is in: zero means every week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ByDay {
    week: i16,
    day: Weekday,
}

/// One `RRULE`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    frequency: Frequency,
    interval: i64,
    count: Option<u64>,
    end: Option<End>,
    months: Vec<i16>,
    week_numbers: Vec<i16>,
    year_days: Vec<i16>,
    month_days: Vec<i16>,
    days: Vec<ByDay>,
    hours: Vec<i16>,
    minutes: Vec<i16>,
    seconds: Vec<i16>,
    positions: Vec<i16>,
    week_start: Weekday,
    skip: Skip,
}

/// The part of an expansion that is wanted, in local time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: DateTime,
    pub(super) until: DateTime,
    /// Occurrences after which the expansion stops.
    pub(super) limit: usize,
}

impl Rule {
    /// Reads the value of an `RRULE`. A rule for whole days has no times: those that it gives are ignored.
    ///
    /// Errors: a text that names the part that is wrong or not supported.
    pub(super) fn parse(value: &str, whole_days: bool) -> Result<Self, String> {
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            end: None,
            months: Vec::new(),
            week_numbers: Vec::new(),
            year_days: Vec::new(),
            month_days: Vec::new(),
            days: Vec::new(),
            hours: Vec::new(),
            minutes: Vec::new(),
            seconds: Vec::new(),
            positions: Vec::new(),
            week_start: Weekday::Monday,
            skip: Skip::Omit,
        };
        let mut seen: Vec<String> = Vec::new();
        for part in value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` has no value"))?;
            let (name, value) = (name.trim().to_ascii_uppercase(), value.trim().to_ascii_uppercase());
            if seen.contains(&name) {
                return Err(format!("it has {name} twice"));
            }
            rule.part(&name, &value).ok_or_else(|| format!("{name}={value} is not valid or not supported"))?;
            seen.push(name);
        }
        if !seen.iter().any(|name| name == "FREQ") {
            return Err("it has no FREQ".to_owned());
        }
        if whole_days {
            if rule.frequency < Frequency::Daily {
                return Err("its FREQ is shorter than a day, and the event takes whole days".to_owned());
            }
            (rule.hours, rule.minutes, rule.seconds) = Default::default();
        }
        Ok(rule)
    }

    /// Takes one part; `None` means that it is wrong.
    fn part(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "FREQ" => {
                self.frequency = match value {
                    "SECONDLY" => Frequency::Secondly,
                    "MINUTELY" => Frequency::Minutely,
                    "HOURLY" => Frequency::Hourly,
                    "DAILY" => Frequency::Daily,
                    "WEEKLY" => Frequency::Weekly,
                    "MONTHLY" => Frequency::Monthly,
                    "YEARLY" => Frequency::Yearly,
                    _ => return None,
                }
            }
            "INTERVAL" => self.interval = value.parse::<u32>().ok().filter(|interval| *interval > 0)?.into(),
            "COUNT" => self.count = u64::try_from(value.parse::<i64>().ok()?).ok().filter(|count| *count > 0),
            "UNTIL" => self.end = Some(end(value)?),
            "BYMONTH" => self.months = numbers(value, 1, 12)?,
            "BYWEEKNO" => self.week_numbers = numbers(value, -53, 53)?,
            "BYYEARDAY" => self.year_days = numbers(value, -366, 366)?,
            "BYMONTHDAY" => self.month_days = numbers(value, -31, 31)?,
            "BYDAY" => self.days = value.split(',').map(by_day).collect::<Option<_>>()?,
            "BYHOUR" => self.hours = numbers(value, 0, 23)?,
            "BYMINUTE" => self.minutes = numbers(value, 0, 59)?,
            // RFC 5545 3.3.12: without leap seconds, the second 60 is the second 59.
            "BYSECOND" => self.seconds = numbers(value, 0, 60)?.into_iter().map(|second| second.min(59)).collect(),
            "BYSETPOS" => self.positions = numbers(value, -366, 366)?,
            "WKST" => self.week_start = weekday(value)?,
            "RSCALE" if value == "GREGORIAN" => {}
            "SKIP" => {
                self.skip = match value {
                    "OMIT" => Skip::Omit,
                    "BACKWARD" => Skip::Backward,
                    "FORWARD" => Skip::Forward,
                    _ => return None,
                }
            }
            _ if name.starts_with("X-") => {}
            _ => return None,
        }
        Some(())
    }

    /// The rule with what its start says where it says nothing itself.
    fn completed(&self, first: DateTime) -> Self {
        let mut rule = self.clone();
        let day = first.date();
        let selects_days = !(rule.week_numbers.is_empty()
            && rule.year_days.is_empty()
            && rule.month_days.is_empty()
            && rule.days.is_empty());
        let same_weekday = vec![ByDay { week: 0, day: day.weekday() }];
        match rule.frequency {
            Frequency::Yearly if !selects_days => {
                if rule.months.is_empty() {
                    rule.months = vec![day.month().into()];
                }
                rule.month_days = vec![day.day().into()];
            }
            Frequency::Yearly if rule.days.is_empty() && rule.month_days.is_empty() && rule.year_days.is_empty() => {
                rule.days = same_weekday;
            }
            Frequency::Monthly if !selects_days => rule.month_days = vec![day.day().into()],
            Frequency::Weekly if !selects_days => rule.days = same_weekday,
            _ => {}
        }
        let fill = |field: &mut Vec<i16>, longer_than: Frequency, value: i8| {
            if field.is_empty() && rule.frequency > longer_than {
                field.push(value.into());
            }
        };
        fill(&mut rule.hours, Frequency::Hourly, first.hour());
        fill(&mut rule.minutes, Frequency::Minutely, first.minute());
        fill(&mut rule.seconds, Frequency::Secondly, first.second());
        for field in [&mut rule.hours, &mut rule.minutes, &mut rule.seconds] {
            field.sort_unstable();
            field.dedup();
        }
        rule
    }

    /// The local times of the rule in a window, in order, of a series that begins at `first`.
    ///
    /// The start is not added where the rule does not have it; but it counts, as `COUNT` includes it.
    ///
    /// Errors: the expansion takes too many steps.
    pub(super) fn expand(&self, first: DateTime, zone: &TimeZone, window: Window) -> Result<Vec<DateTime>, String> {
        let mut found = Vec::new();
        let rule = self.completed(first);
        let stop = rule.last_moment(zone).map_or(window.until, |last| window.until.min(last));
        let mut steps = 0;
        let mut counted = u64::from(!rule.has(first));
        let mut last: Option<DateTime> = None;
        let mut period = if rule.count.is_some() { 0 } else { rule.period_before(first.date(), window.from.date()) };
        while let Some(begins) = rule.period(first.date(), period).filter(|begins| *begins <= stop.date()) {
            let mut sets = rule.sets(begins, first, &mut steps);
            for set in &mut sets {
                set.sort_unstable();
                set.dedup();
                for at in rule.chosen(set) {
                    if at < first || last.is_some_and(|last| at <= last) || rule.is_over(at, zone) {
                        continue;
                    }
                    last = Some(at);
                    counted += 1;
                    if rule.count.is_some_and(|count| counted > count) || at >= window.until {
                        return Ok(found);
                    }
                    if at >= window.from {
                        found.push(at);
                    }
                    if found.len() >= window.limit {
                        return Ok(found);
                    }
                }
            }
            steps += 1;
            if steps > MAX_STEPS {
                return Err("it takes too many steps to expand".to_owned());
            }
            period += 1;
        }
        Ok(found)
    }

    /// The rule has its own start.
    fn has(&self, first: DateTime) -> bool {
        let rule = self.completed(first);
        let begins = rule.period(first.date(), 0);
        let sets = begins.map(|begins| rule.sets(begins, first, &mut 0)).unwrap_or_default();
        sets.into_iter().any(|mut set| {
            set.sort_unstable();
            set.dedup();
            rule.chosen(&set).any(|at| at == first)
        })
    }

    /// Those of a set that `BYSETPOS` selects.
    fn chosen<'a>(&'a self, set: &'a [DateTime]) -> impl Iterator<Item = DateTime> + 'a {
        set.iter()
            .enumerate()
            .filter(move |(index, _)| {
                let place = |position: &i16| match usize::from(position.unsigned_abs()) {
                    from_end if *position < 0 => set.len().checked_sub(from_end),
                    from_start => Some(from_start - 1),
                };
                self.positions.is_empty() || self.positions.iter().any(|position| place(position) == Some(*index))
            })
            .map(|(_, at)| *at)
    }

    /// A local time after the end, whatever the zone.
    fn last_moment(&self, zone: &TimeZone) -> Option<DateTime> {
        let local = match self.end? {
            End::Day(day) => day.at(23, 59, 59, 0),
            End::Local(at) => at,
            End::Utc(at) => zone.to_datetime(at),
        };
        local.checked_add(1.day()).ok()
    }

    fn is_over(&self, at: DateTime, zone: &TimeZone) -> bool {
        match self.end {
            None => false,
            Some(End::Day(day)) => at.date() > day,
            Some(End::Local(end)) => at > end,
            // Compared as instants, as a local time may be there twice.
            Some(End::Utc(end)) => {
                zone.to_ambiguous_timestamp(at).compatible().map_or(at > zone.to_datetime(end), |at| at > end)
            }
        }
    }

    /// Days of a period of the shorter frequencies, of which a period is taken to be a day.
    fn is_within_days(&self) -> bool {
        self.frequency < Frequency::Daily
    }

    /// The first day of a period; `None` means that the calendar ends before.
    fn period(&self, first: Date, number: i64) -> Option<Date> {
        let number = if self.is_within_days() { number } else { number.checked_mul(self.interval)? };
        match self.frequency {
            Frequency::Yearly => Date::new(i16::try_from(i64::from(first.year()) + number).ok()?, 1, 1).ok(),
            Frequency::Monthly => first.first_of_month().checked_add(Span::new().try_months(number).ok()?).ok(),
            Frequency::Weekly => week_of(first, self.week_start)?.checked_add(Span::new().try_weeks(number).ok()?).ok(),
            _ => first.checked_add(Span::new().try_days(number).ok()?).ok(),
        }
    }

    /// A period that ends before a day, or the first.
    fn period_before(&self, first: Date, day: Date) -> i64 {
        let days = i64::from(first.until(day).map_or(0, |span| span.get_days()));
        let length = match self.frequency {
            Frequency::Yearly => 366 * self.interval,
            Frequency::Monthly => 31 * self.interval,
            Frequency::Weekly => 7 * self.interval,
            Frequency::Daily => self.interval,
            _ => 1,
        };
        (days / length - 2).max(0)
    }

    /// What the rule has in a period, in one set for each `BYSETPOS`.
    fn sets(&self, begins: Date, first: DateTime, steps: &mut u32) -> Vec<Vec<DateTime>> {
        let days = match self.frequency {
            Frequency::Yearly => self.days_of_months(begins.year(), 1, 12, steps),
            Frequency::Monthly => self.days_of_months(begins.year(), begins.month(), begins.month(), steps),
            Frequency::Weekly => days_from(begins, 7).filter(|day| self.has_day(*day)).collect(),
            _ => days_from(begins, 1).filter(|day| self.has_day(*day)).collect(),
        };
        if self.is_within_days() {
            return days.into_iter().flat_map(|day| self.times_within(day, first, steps)).collect();
        }
        let times = self.times(&self.hours, &self.minutes, &self.seconds);
        *steps = steps.saturating_add(u32::try_from(days.len() * times.len()).unwrap_or(u32::MAX));
        vec![days.iter().flat_map(|day| times.iter().map(|time| day.to_datetime(*time))).collect()]
    }

    fn times(&self, hours: &[i16], minutes: &[i16], seconds: &[i16]) -> Vec<Time> {
        let time = |hour: i16, minute: i16, second: i16| {
            Time::new(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, 0).ok()
        };
        let mut times = Vec::new();
        for hour in hours {
            for minute in minutes {
                times.extend(seconds.iter().filter_map(|second| time(*hour, *minute, *second)));
            }
        }
        times
    }

    /// The times of a day, for a rule by hours, minutes or seconds: one set for each of those.
    fn times_within(&self, day: Date, first: DateTime, steps: &mut u32) -> Vec<Vec<DateTime>> {
        let units_of_an_hour: i64 = match self.frequency {
            Frequency::Hourly => 1,
            Frequency::Minutely => 60,
            _ => 3600,
        };
        let units_of_a_day = 24 * units_of_an_hour;
        let days = i64::from(first.date().until(day).map_or(0, |span| span.get_days()));
        let seconds = i64::from(first.hour()) * 3600 + i64::from(first.minute()) * 60 + i64::from(first.second());
        let unit_of_first = seconds * units_of_an_hour / 3600;
        let mut unit = (unit_of_first - days * units_of_a_day).rem_euclid(self.interval);
        let allows = |allowed: &[i16], value: i16| allowed.is_empty() || allowed.contains(&value);
        let mut sets = Vec::new();
        while unit < units_of_a_day {
            *steps += 1;
            let second_of_day = unit * 3600 / units_of_an_hour;
            let part = |seconds: i64, of: i64| i16::try_from(second_of_day / seconds % of).unwrap_or_default();
            let (hour, minute, second) = (part(3600, 24), part(60, 60), part(1, 60));
            unit += self.interval;
            let minutes = if self.frequency == Frequency::Hourly { &self.minutes[..] } else { &[minute][..] };
            let seconds = if self.frequency == Frequency::Secondly { &[second][..] } else { &self.seconds[..] };
            let by_minute = self.frequency == Frequency::Hourly || allows(&self.minutes, minute);
            let by_second = self.frequency != Frequency::Secondly || allows(&self.seconds, second);
            if allows(&self.hours, hour) && by_minute && by_second {
                let times = self.times(&[hour], minutes, seconds);
                sets.push(times.into_iter().map(|time| day.to_datetime(time)).collect());
            }
        }
        sets
    }

    /// The days that the rule selects in these months of a year.
    fn days_of_months(&self, year: i16, from: i8, until: i8, steps: &mut u32) -> Vec<Date> {
        let mut found = Vec::new();
        if self.skip != Skip::Omit {
            found.extend(self.year_days.iter().filter_map(|number| self.skipped_year_day(year, *number)));
        }
        for month in from..=until {
            let Some(begins) = Date::new(year, month, 1).ok().filter(|day| self.has_month(*day)) else { continue };
            *steps += u32::from(begins.days_in_month().unsigned_abs());
            found.extend(days_from(begins, begins.days_in_month()).filter(|day| self.has_day(*day)));
            let moved = self.month_days.iter().filter_map(|number| self.skipped_month_day(begins, *number));
            found.extend(moved.filter(|day| self.has_year_day(*day) && self.has_weekday(*day)));
        }
        found
    }

    /// The day in place of one that the month does not have.
    fn skipped_month_day(&self, begins: Date, number: i16) -> Option<Date> {
        (number > i16::from(begins.days_in_month())).then(|| self.skipped(begins.last_of_month()))?
    }

    /// The day in place of one that the year does not have.
    fn skipped_year_day(&self, year: i16, number: i16) -> Option<Date> {
        let last = Date::new(year, 12, 31).ok()?;
        let day = (number > last.day_of_year()).then(|| self.skipped(last))??;
        (self.has_weekday(day) && self.has_month_day(day)).then_some(day)
    }

    /// The day in place of one after the last of a month or year.
    fn skipped(&self, last: Date) -> Option<Date> {
        match self.skip {
            Skip::Omit => None,
            Skip::Backward => Some(last),
            Skip::Forward => last.tomorrow().ok(),
        }
    }

    fn has_day(&self, day: Date) -> bool {
        self.has_month(day)
            && self.has_week_number(day)
            && self.has_year_day(day)
            && self.has_month_day(day)
            && self.has_weekday(day)
    }

    fn has_month(&self, day: Date) -> bool {
        self.months.is_empty() || self.months.contains(&day.month().into())
    }

    fn has_month_day(&self, day: Date) -> bool {
        counts(&self.month_days, day.day().into(), day.days_in_month().into())
    }

    fn has_year_day(&self, day: Date) -> bool {
        counts(&self.year_days, day.day_of_year(), day.days_in_year())
    }

    fn has_week_number(&self, day: Date) -> bool {
        if self.week_numbers.is_empty() {
            return true;
        }
        // The week belongs to the year in which most of it is: that of its fourth day.
        let fourth = |begins: Date| begins.checked_add(3.days()).ok();
        let Some(in_week) = week_of(day, self.week_start).and_then(fourth) else { return false };
        let last_day = Date::new(in_week.year(), 12, 28).ok();
        let last = last_day.and_then(|day| week_of(day, self.week_start)).and_then(fourth);
        let number = |day: Date| (day.day_of_year() - 1) / 7 + 1;
        last.is_some_and(|last| counts(&self.week_numbers, number(in_week), number(last)))
    }

    fn has_weekday(&self, day: Date) -> bool {
        let (place, length) = match self.frequency {
            Frequency::Yearly if self.months.is_empty() && self.week_numbers.is_empty() => {
                (day.day_of_year(), day.days_in_year())
            }
            Frequency::Yearly if !self.week_numbers.is_empty() => (0, 0),
            Frequency::Yearly | Frequency::Monthly => (day.day().into(), day.days_in_month().into()),
            _ => (0, 0),
        };
        let in_week = |week: i16| match week {
            _ if week == 0 || length == 0 => true,
            week if week > 0 => (place - 1) / 7 + 1 == week,
            week => (length - place) / 7 + 1 == -week,
        };
        self.days.is_empty() || self.days.iter().any(|by| by.day == day.weekday() && in_week(by.week))
    }
}

/// A number is among those selected, of which negative ones count from the end. None selected means all are.
fn counts(selected: &[i16], number: i16, length: i16) -> bool {
    selected.is_empty() || selected.contains(&number) || selected.contains(&(number - length - 1))
}

/// The first day of the week of a day.
fn week_of(day: Date, week_start: Weekday) -> Option<Date> {
    day.checked_sub(i64::from(day.weekday().since(week_start)).days()).ok()
}

fn days_from(begins: Date, number: i8) -> impl Iterator<Item = Date> {
    begins.series(1.day()).take(usize::from(number.unsigned_abs()))
}

/// Numbers of a range, of which none is zero where there are negative ones.
fn numbers(value: &str, from: i16, until: i16) -> Option<Vec<i16>> {
    let valid = |number: &i16| (from..=until).contains(number) && (*number != 0 || from == 0);
    value.split(',').map(|number| number.trim().parse().ok().filter(valid)).collect()
}

fn by_day(value: &str) -> Option<ByDay> {
    let value = value.trim();
    let (week, day) = value.split_at_checked(value.len().checked_sub(2)?)?;
    let week = match week {
        "" => 0,
        week => week.parse().ok().filter(|week: &i16| *week != 0 && week.abs() <= 53)?,
    };
    Some(ByDay { week, day: weekday(day)? })
}

fn weekday(value: &str) -> Option<Weekday> {
    Some(match value {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

fn end(value: &str) -> Option<End> {
    if value.len() == 8 {
        return Date::strptime("%Y%m%d", value).ok().map(End::Day);
    }
    let at = DateTime::strptime("%Y%m%dT%H%M%S", value.trim_end_matches('Z')).ok()?;
    if !value.ends_with('Z') {
        return Some(End::Local(at));
    }
    TimeZone::UTC.to_timestamp(at).ok().map(End::Utc)
}
