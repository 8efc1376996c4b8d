//! How the host and the service differ.

use jiff::SignedDuration;

use super::life::{Difference, Kind, Life};
use super::{ConformanceService, Item};
use crate::engine::{LinkRow, SyncState, TaskQuery};
use crate::model::{Delivery, Schedule, When};
use crate::runtime::WorkView;

impl<S: ConformanceService> Life<'_, S> {
    /// How the host and the service differ.
    pub(super) async fn differences(&mut self) -> Vec<Difference> {
        let mut found = self.take_failures();
        let enabled: Vec<_> = self.channel_rows().await.into_iter().filter(|row| row.enabled).collect();
        let work = match self.connection {
            Some(id) => self.runtime().work(id).await.unwrap_or_default(),
            None => Vec::new(),
        };
        for row in &enabled {
            if row.sync.state != SyncState::Synced {
                // One that is tried again shows its error with its work.
                let tried = work.iter().filter(|view| view.channel.as_ref() == Some(&row.channel.id));
                let tried = tried.filter_map(|view| view.error.as_ref()).map(|error| &error.message).next_back();
                let error = row.sync.error.as_ref().or(tried);
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                found.push((Kind::State, format!("`{}` is {}{error}", row.channel.id, word(row.sync.state))));
            }
        }
        let query = TaskQuery { connection: self.connection, ..TaskQuery::all(100) };
        for dead in self.runtime().dead_tasks(query).await.unwrap_or_default() {
            let error = dead.errors.last().map(|error| error.message.clone()).unwrap_or_default();
            found.push((Kind::Dead, format!("{} was given up: {error}", dead.does)));
        }
        let registered = self.gate.registrations();
        if registered.len() > self.expected_registrations().await {
            found.push((Kind::Registered, format!("{} endpoints are registered with the service", registered.len())));
        }
        let items = self.items();
        let mut links = self.links().await;
        for item in &items {
            if !enabled.iter().any(|row| row.channel.id.as_str() == item.channel) {
                continue;
            }
            let title = &item.title;
            if items.iter().filter(|other| other.title == *title).count() > 1 {
                found.push((Kind::Twice, format!("the service has `{title}` more than once")));
                continue;
            }
            let (same, rest): (Vec<_>, Vec<_>) = links
                .into_iter()
                .partition(|row| row.link.title.as_deref() == Some(title) && row.link.channel.as_str() == item.channel);
            links = rest;
            match same.as_slice() {
                [] => found.push((Kind::Missing, format!("`{title}` is at the service and not here"))),
                [link] => self.compare(item, link, &mut found).await,
                _ => found.push((Kind::Twice, format!("`{title}` is here {} times", same.len()))),
            }
        }
        for row in links {
            // The user sees of these that they did not arrive.
            let undelivered = matches!(row.link.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown));
            if !undelivered {
                let title = row.link.title.unwrap_or_default();
                found.push((
                    Kind::Foreign,
                    format!("`{title}` of `{}` is here and not at the service", row.link.channel),
                ));
            }
        }
        if let Some(error) = self.last_error(&work).await {
            let stale = |kind| matches!(kind, Kind::Missing | Kind::NoteMissing | Kind::Status | Kind::Schedule);
            for (_, what) in found.iter_mut().filter(|(kind, _)| stale(*kind)) {
                what.push_str(&format!("; the last error was: {error}"));
            }
        }
        found
    }

    /// The last error of something that is tried again, or of declared work that was given up.
    async fn last_error(&self, work: &[WorkView]) -> Option<String> {
        let query = TaskQuery { connection: self.connection, ..TaskQuery::all(1_000) };
        let tasks = self.runtime().tasks(query).await.unwrap_or_default();
        let of_tasks = tasks.iter().filter_map(|task| task.errors.last());
        let errors = of_tasks.chain(work.iter().filter_map(|view| view.error.as_ref()));
        errors.max_by_key(|error| error.at).map(|error| error.message.clone())
    }

    async fn compare(&self, item: &Item, link: &LinkRow, found: &mut Vec<Difference>) {
        let title = &item.title;
        if let Some(theirs) = &item.status {
            let ours = link.link.status.as_ref().map_or("none", |status| status.as_str());
            // What the service refused stays the user's, who sees it and decides.
            let refused = matches!(link.link.delivery, Some(Delivery::Failed { .. }));
            if theirs != ours && !refused {
                found.push((Kind::Status, format!("`{title}` is `{theirs}` at the service and `{ours}` here")));
            }
        }
        if let Some(created) = item.created_at {
            let ours = link.link.occurred_at;
            if ours.duration_since(created).abs() > SignedDuration::from_secs(1) {
                found.push((Kind::Time, format!("`{title}` is of {created} at the service and of {ours} here")));
            }
        }
        if !item.schedules.is_empty() {
            let differs = differs(&item.schedules, &link.link.schedules);
            found.extend(differs.map(|how| (Kind::Schedule, format!("`{title}` {how}"))));
        }
        let mut ours: Vec<_> = self
            .notes(link)
            .await
            .into_iter()
            .filter(|row| !matches!(row.note.delivery, Some(Delivery::Failed { .. })))
            .map(|row| words(&row.note.content))
            .collect();
        let mut theirs: Vec<_> = item.notes.iter().map(|note| words(note)).collect();
        for (notes, place) in [(&mut ours, "here"), (&mut theirs, "at the service")] {
            notes.sort();
            let all = notes.len();
            notes.dedup();
            if notes.len() < all {
                found.push((Kind::NoteTwice, format!("a note of `{title}` is {place} more than once")));
            }
        }
        for note in theirs.iter().filter(|note| !ours.contains(note)) {
            found.push((Kind::NoteMissing, format!("`{note}`, a note of `{title}`, is at the service and not here")));
        }
        for note in ours.iter().filter(|note| !theirs.contains(note)) {
            found.push((Kind::NoteForeign, format!("`{note}`, a note of `{title}`, is here and not at the service")));
        }
    }

    /// The calls that changed what the service holds.
    pub(super) fn changes(&self) -> usize {
        self.gate.calls_after(0).iter().filter(|call| call.changed).count()
    }
}

/// When something takes place at the service and here, where that is not the same.
fn differs(theirs: &[Schedule], ours: &[Schedule]) -> Option<String> {
    let told = |schedules: &[Schedule]| {
        let one = |schedule: &Schedule| {
            let when = |when: When| match when {
                When::Day(day) => day.to_string(),
                When::At(at) => at.to_string(),
                When::Floating(at) => at.to_string(),
            };
            let Schedule { start, end, occurrence, recurrence, cancelled, .. } = schedule;
            let of = occurrence.map(|of| format!("for {} ", when(of))).unwrap_or_default();
            if *cancelled {
                return format!("{of}not");
            }
            let until = end.map(|end| format!(" until {}", when(end))).unwrap_or_default();
            format!("{of}at {}{until} {}", when(*start), recurrence.join(" ")).trim_end().to_owned()
        };
        let mut told: Vec<_> = schedules.iter().map(one).collect();
        told.sort();
        told.join(", ")
    };
    let (theirs, ours) = (told(theirs), told(ours));
    (theirs != ours).then(|| format!("takes place {theirs} at the service, and here {ours}"))
}

/// The words of a text: formatting, which each end writes in its own way, is not compared.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn word(state: SyncState) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
