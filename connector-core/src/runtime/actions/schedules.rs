//! What users change of schedules (R9.6): checked here, before it is stored and carried to the service.

use super::ActionError;
use crate::link_type::LinkTypeDeclaration;
use crate::model::{Link, Schedule, ScheduleChange, When};

/// The schedules of an item that a user composes, with keys for what the service does not have yet.
pub(super) fn composed(
    schedules: Vec<Schedule>,
    declaration: &LinkTypeDeclaration,
) -> Result<Vec<Schedule>, ActionError> {
    if !declaration.schedules && !schedules.is_empty() {
        return Err(ActionError::Invalid(format!("a {} has no schedule", declaration.id)));
    }
    if schedules.len() > 1 || schedules.iter().any(|schedule| schedule.occurrence.is_some()) {
        let way_out = "give one schedule with its recurrence, and change single occurrences of it afterwards";
        return Err(ActionError::Invalid(way_out.to_owned()));
    }
    let named = |schedule: Schedule| Schedule { key: Schedule::composed(schedule.start).key, ..schedule };
    let schedules: Vec<_> = schedules.into_iter().map(named).collect();
    schedules.iter().try_for_each(check)?;
    Ok(schedules)
}

/// Puts a schedule among those of a link, in place of the one with its key. False means that it was there.
pub(super) fn put(link: &mut Link, schedule: Schedule) -> bool {
    match link.schedules.iter_mut().find(|known| known.key == schedule.key) {
        Some(known) if *known == schedule => false,
        Some(known) => {
            *known = schedule;
            true
        }
        None => {
            link.schedules.push(schedule);
            true
        }
    }
}

/// A schedule of a link as a user wants it.
///
/// Errors: the link has no such schedule or occurrence, or the result makes no sense.
pub(super) fn changed(link: &Link, change: &ScheduleChange) -> Result<Schedule, ActionError> {
    let before = match change.occurrence {
        Some(of) => occurrence(link, of)?,
        None => master(link)?.clone(),
    };
    let mut after = before.clone();
    after.time_zone = change.time_zone.clone().or(after.time_zone);
    if let Some(start) = change.start {
        after.start = start;
        after.end = length::kept(&before, start)?;
    }
    after.end = change.end.or(after.end);
    if let Some(recurrence) = &change.recurrence {
        if change.occurrence.is_some() {
            let problem = "one occurrence does not recur: leave the occurrence out to change the event itself";
            return Err(ActionError::Invalid(problem.to_owned()));
        }
        after.recurrence.clone_from(recurrence);
    }
    after.cancelled = change.cancelled.unwrap_or(after.cancelled);
    if after.cancelled && change.occurrence.is_none() {
        let problem = "an event is cancelled by its status, and one occurrence by `occurrence` and `cancelled`";
        return Err(ActionError::Invalid(problem.to_owned()));
    }
    check(&after)?;
    Ok(after)
}

fn master(link: &Link) -> Result<&Schedule, ActionError> {
    let master = link.schedules.iter().find(|schedule| schedule.occurrence.is_none());
    master.ok_or_else(|| ActionError::Conflict(format!("{} has no schedule of the event itself", link.id)))
}

/// The schedule of one occurrence of an event: its own, or one that is made from the event's.
///
/// Errors: the event does not take place then.
pub(super) fn occurrence(link: &Link, of: When) -> Result<Schedule, ActionError> {
    if let Some(known) = link.schedules.iter().find(|schedule| schedule.occurrence == Some(of)) {
        return Ok(known.clone());
    }
    let master = master(link)?;
    let (start, end) = length::of_occurrence(link, of)?;
    Ok(Schedule {
        end,
        time_zone: master.time_zone.clone(),
        attendees: master.attendees.clone(),
        ..Schedule::composed_occurrence(of, start)
    })
}

/// Whether a schedule makes sense.
fn check(schedule: &Schedule) -> Result<(), ActionError> {
    let is_later = match (schedule.start, schedule.end) {
        (_, None) => true,
        (When::Day(start), Some(When::Day(end))) => start < end,
        (When::At(start), Some(When::At(end))) => start <= end,
        (When::Floating(start), Some(When::Floating(end))) => start <= end,
        _ => {
            let problem = "the start and the end are both days, both instants or both floating times";
            return Err(ActionError::Invalid(problem.to_owned()));
        }
    };
    if !is_later {
        let problem = "the end is after the start; for whole days it is the first day after them";
        return Err(ActionError::Invalid(problem.to_owned()));
    }
    if !schedule.recurrence.is_empty() && matches!(schedule.start, When::At(_)) && schedule.time_zone.is_none() {
        return Err(ActionError::Invalid("give the `time_zone` that the event recurs in".to_owned()));
    }
    length::check_recurrence(schedule)
}

/// What needs the calendar.
#[cfg(feature = "calendar")]
mod length {
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};

    use super::{ActionError, Link, Schedule, When};
    use crate::calendar::{self, Series};

    /// How far around its time by the series an occurrence is looked for, as earlier changes may have moved it.
    const AROUND: SignedDuration = SignedDuration::from_hours(24 * 40);

    fn invalid(error: impl std::fmt::Display) -> ActionError {
        ActionError::Invalid(error.to_string())
    }

    /// The end of a schedule that begins at another time and takes as long as before.
    pub(super) fn kept(schedule: &Schedule, start: When) -> Result<Option<When>, ActionError> {
        Ok(calendar::end_of(schedule, start))
    }

    pub(super) fn of_occurrence(link: &Link, of: When) -> Result<(When, Option<When>), ActionError> {
        let series: Series = link.schedules.iter().cloned().collect();
        let at = calendar::instant(of, &TimeZone::UTC);
        let (from, until) = (at.checked_sub(AROUND), at.checked_add(AROUND));
        let (from, until) = (from.unwrap_or(Timestamp::MIN), until.unwrap_or(Timestamp::MAX));
        let agenda = series.agenda(from, until, &TimeZone::UTC).map_err(invalid)?;
        let found = agenda.occurrences.into_iter().find(|occurrence| occurrence.of == of);
        let missing = || ActionError::NotFound(format!("{} has no occurrence at {}", link.id, calendar::key(of)));
        found.map(|occurrence| (occurrence.start, occurrence.end)).ok_or_else(missing)
    }

    pub(super) fn check_recurrence(schedule: &Schedule) -> Result<(), ActionError> {
        if let Some(name) = &schedule.time_zone {
            calendar::time_zone(name).map_err(invalid)?;
        }
        let start = calendar::instant(schedule.start, &TimeZone::UTC);
        let until = start.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        let series: Series = [Schedule { occurrence: None, ..schedule.clone() }].into_iter().collect();
        let agenda = series.agenda(start, until, &TimeZone::UTC).map_err(invalid)?;
        agenda.refused.first().map_or(Ok(()), |error| Err(invalid(error)))
    }
}

/// Without the calendar, schedules are not changed.
#[cfg(not(feature = "calendar"))]
mod length {
    use super::{ActionError, Link, Schedule, When};

    fn missing<T>() -> Result<T, ActionError> {
        Err(ActionError::Conflict("this host was built without `calendar`, so it cannot change schedules".to_owned()))
    }

    pub(super) fn kept(_: &Schedule, _: When) -> Result<Option<When>, ActionError> {
        missing()
    }

    pub(super) fn of_occurrence(_: &Link, _: When) -> Result<(When, Option<When>), ActionError> {
        missing()
    }

    pub(super) fn check_recurrence(_: &Schedule) -> Result<(), ActionError> {
        missing()
    }
}
