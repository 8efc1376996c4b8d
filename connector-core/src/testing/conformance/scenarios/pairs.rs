//! Lives that are compared with others.

use super::super::life::{Kind, Life, Setup, Wrong, minutes};
use super::super::{ConformanceService, Report};
use super::enter;
use crate::model::Delivery;

/// Twice as many items are not twice as many calls in one run.
pub(super) async fn volume<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    const ITEMS: i64 = 150;
    let mut most = Vec::new();
    for items in [ITEMS, 2 * ITEMS] {
        let mut life = Life::new(setup, Wrong::default()).await;
        report.lived();
        if !life.connect().await {
            return;
        }
        let Some(channel) = life.channels.first().cloned() else { return };
        for item in 0..items {
            let at = life.now() - minutes(items * 2 - item);
            life.make(&channel, &format!("Item {item}"), at);
        }
        life.enable(&channel).await;
        life.settle().await;
        let found = life.differences().await;
        let short = found.into_iter().take(3).collect();
        enter(report, &[1], &format!("of {items} items"), short, |kind| if kind == Kind::State { 1 } else { 7 });
        most.push(life.most_calls);
    }
    let grows = most.last() > most.first();
    let grown = grows.then(|| {
        format!("the calls of one run grow with the number of items: {most:?} for {ITEMS} and {} items", 2 * ITEMS)
    });
    report.check(4, grown);
}

/// An item is the same whether it came in one go or bit by bit.
pub(super) async fn same<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.live().await {
        return;
    }
    let followed = shown(&life).await;
    let Some(id) = life.connection else { return };
    life.disconnect().await;
    if !life.connect().await || life.connection == Some(id) {
        return;
    }
    for channel in life.channels.clone() {
        life.enable(&channel).await;
    }
    life.advance(minutes(5)).await;
    let fetched = shown(&life).await;
    let differ =
        followed.iter().filter(|(title, _)| title != super::super::script::COMPOSED).filter_map(|(title, followed)| {
            let (_, fetched) = fetched.iter().find(|(other, _)| other == title)?;
            let what = first_difference(followed, fetched)?;
            Some(format!("`{title}` differs by how it came: {what}"))
        });
    report.check(23, differ);
}

/// What is shown of each item, without what is the host's own.
async fn shown<S: ConformanceService>(life: &Life<'_, S>) -> Vec<(String, serde_json::Map<String, serde_json::Value>)> {
    let mut shown = Vec::new();
    for row in life.links().await {
        let title = row.link.title.clone().unwrap_or_default();
        let mut fields = match serde_json::to_value(&row.link) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => continue,
        };
        for own in ["id", "thread", "delivery"] {
            fields.remove(own);
        }
        let mut notes: Vec<_> = life
            .notes(&row)
            .await
            .into_iter()
            // What did not arrive is here alone.
            .filter(|row| !matches!(row.note.delivery, Some(Delivery::Failed { .. })))
            .map(|row| format!("{} {:?} {}", row.note.content, row.note.key, row.note.occurred_at))
            .collect();
        notes.sort();
        fields.insert("notes".to_owned(), notes.into());
        shown.push((title, fields));
    }
    shown
}

fn first_difference(
    followed: &serde_json::Map<String, serde_json::Value>,
    fetched: &serde_json::Map<String, serde_json::Value>,
) -> Option<String> {
    let names = followed.keys().chain(fetched.keys().filter(|name| !followed.contains_key(*name)));
    let mut differ = names.filter(|name| followed.get(*name) != fetched.get(*name));
    differ.next().map(|name| {
        let text = |fields: &serde_json::Map<String, serde_json::Value>| {
            fields.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        format!("`{name}` is {} when it is followed, and {} when it is fetched", text(followed), text(fetched))
    })
}
