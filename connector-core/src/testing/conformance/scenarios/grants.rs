//! Lives in which the user takes back what they had allowed, or does not allow all of it.

use jiff::SignedDuration;

use super::super::life::{Kind, Life, Setup, Wrong};
use super::super::script::SECOND;
use super::super::{ConformanceService, Edit, Report};
use super::enter;
use crate::engine::ConnectionStatus;

/// The grant is revoked, or the key is lost, and another one is given.
pub(super) async fn revoked<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let declaration = setup.connector.declaration;
    if declaration.provider.is_none() && declaration.key_option.is_none() {
        return;
    }
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    life.gate.revoke();
    life.outside().await;
    let status = match life.connection {
        Some(id) => life.runtime().connection(id).await.map(|row| row.status).ok(),
        None => None,
    };
    let unseen = (status != Some(ConnectionStatus::NeedsReauth)).then(|| {
        format!("the token is refused, and the connection is {}", status.map_or("gone", ConnectionStatus::as_str))
    });
    report.check(12, unseen);
    // While it waits, the user goes on.
    life.reply(SECOND, "A note of the user.").await;
    life.set_status(SECOND).await;
    life.advance(SignedDuration::from_hours(24)).await;
    let before = life.gate.count();
    life.look().await;
    let calls = life.gate.count() - before;
    report.check(12, (calls > 0).then(|| format!("{calls} calls with a token that is refused")));
    life.reauthorize().await;
    let found = life.rest().await;
    enter(report, &[12], "after a new authorization", found, |kind| match kind {
        Kind::State => 1,
        Kind::Twice => 20,
        Kind::NoteTwice | Kind::Writes => 19,
        _ => 12,
    });
}

/// Each optional scope group is declined, and allowed later.
pub(super) async fn declined<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    for group in setup.connector.declaration.scopes.optional {
        let mut life = Life::new(setup, Wrong { declined: Some(group.id), ..Wrong::default() }).await;
        report.lived();
        if !life.begin().await {
            enter(report, &[], &format!("without `{}`", group.id), life.take_failures(), |_| 12);
            continue;
        }
        life.outside().await;
        let found = life.differences().await;
        enter(report, &[12], &format!("without `{}`", group.id), found, |_| 12);
        life.allow_all().await;
        life.list().await;
        // What is not registered is tried again within a day.
        life.advance(SignedDuration::from_hours(25)).await;
        life.edit(SECOND, &Edit::Note("A note with all that was allowed.".to_owned()));
        life.look().await;
        let found = life.differences().await;
        enter(report, &[12], &format!("after `{}` was allowed", group.id), found, |_| 12);
    }
}
