//! Lives in which what the service pushes comes early, all at once, or not at all.

use jiff::SignedDuration;

use super::super::life::{Kind, Life, Setup, Wrong, minutes};
use super::super::script::SECOND;
use super::super::{ConformanceService, Edit, Report};
use super::{blame, enter, silent};
use crate::runtime::SubscriptionState;

/// How often channels are disabled and enabled again.
const TIMES: usize = 3;

/// What the user writes comes back before the service has answered that it took it.
pub(super) async fn overtaken<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return;
    }
    life.outside().await;
    life.overtake(true);
    life.inside().await;
    life.overtake(false);
    let when = "what the user wrote came back before it was answered";
    let found = life.differences().await;
    enter(report, &[19], when, found, blame);
    let before = life.gate.count();
    life.look().await;
    silent(&life, report, before, when);
    let found = life.rest().await;
    enter(report, &[19], when, found, blame);
}

/// Many pushes at once are few calls, and none of them is lost, also of those that come meanwhile.
pub(super) async fn burst<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    const PUSHES: usize = 50;
    const MEANWHILE: usize = 8;
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    let pushes =
        |life: &Life<'_, S>| !life.gate.registrations().is_empty() || life.gate.with(|service| service.app()).is_some();
    if !life.begin().await || !pushes(&life) {
        return;
    }
    let before = life.gate.count();
    for number in 0..PUSHES {
        life.edit(SECOND, &Edit::Note(format!("Note {number} of a burst.")));
    }
    life.advance(minutes(2)).await;
    let calls = life.gate.count() - before;
    report.check(3, (calls > PUSHES / 2).then(|| format!("{PUSHES} pushes at once led to {calls} calls")));
    for steps in 0..MEANWHILE {
        life.edit(SECOND, &Edit::Note(format!("Note {steps} while the others are taken.")));
        for _ in 0..steps {
            life.step().await;
        }
        life.edit(SECOND, &Edit::Note(format!("Note {steps} meanwhile.")));
        life.advance(SignedDuration::from_secs(20)).await;
    }
    life.advance(minutes(1)).await;
    let found = life.differences().await;
    enter(report, &[3, 14], "after a burst of pushes", found, |kind| match kind {
        Kind::Push | Kind::Forged | Kind::Registered => blame(kind),
        _ => 3,
    });
}

/// There is one registration for each scope, whatever becomes of it.
pub(super) async fn registrations<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await || life.gate.registrations().is_empty() {
        return;
    }
    for _ in 0..TIMES {
        for channel in life.channels.clone() {
            life.disable(&channel).await;
        }
        life.advance(minutes(5)).await;
        for channel in life.channels.clone() {
            life.enable(&channel).await;
        }
        life.advance(minutes(5)).await;
    }
    one_each(&mut life, report, "after the channels were disabled and enabled again").await;
    if life.gate.with(|service| service.lose_registrations()) {
        life.advance(SignedDuration::from_hours(25)).await;
        one_each(&mut life, report, "a day after the service had lost its registrations").await;
    }
    for hours in (0..8 * 24).step_by(6) {
        life.advance(SignedDuration::from_hours(6)).await;
        let (registered, expected) = (life.gate.registrations().len(), life.expected_registrations().await);
        let ended = format!("{} hours later, {registered} of {expected} endpoints are registered", hours + 6);
        report.check(13, (registered < expected).then_some(ended));
    }
    one_each(&mut life, report, "after more than a week").await;
}

async fn one_each<S: ConformanceService>(life: &mut Life<'_, S>, report: &mut Report, when: &str) {
    let (registered, expected) = (life.gate.registrations().len(), life.expected_registrations().await);
    let wrong = || format!("{when}: {expected} endpoints are to be registered with the service, and {registered} are");
    report.check(13, (registered != expected).then(wrong));
    if life.is_pushed() && life.edit(SECOND, &Edit::Note(format!("A note {when}."))) {
        // Sooner than it is looked for.
        life.advance(minutes(1)).await;
        let found = life.differences().await;
        enter(report, &[13], when, found, |_| 13);
    }
}

/// The service registers nothing: what changes is found by looking, and the user sees that it is so.
pub(super) async fn unregistered<S: ConformanceService>(setup: &Setup<S>, report: &mut Report, registering: &[String]) {
    if registering.is_empty() {
        return;
    }
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    life.gate.reject(registering.to_vec());
    if !life.begin().await {
        enter(report, &[], "without registrations", life.take_failures(), |_| 13);
        return;
    }
    life.outside().await;
    let found = life.differences().await;
    enter(report, &[13], "without registrations", found, |_| 13);
    let Some(id) = life.connection else { return };
    let hidden = life
        .runtime()
        .subscriptions(id)
        .await
        .unwrap_or_default()
        .into_iter()
        .filter(|subscription| subscription.state != SubscriptionState::Polling || subscription.reason.is_none());
    report.check(
        13,
        hidden.map(|hidden| format!("`{}` is refused, and is shown as {:?}", hidden.callback, hidden.state)),
    );
    life.gate.reject(Vec::new());
    life.advance(SignedDuration::from_hours(25)).await;
    one_each(&mut life, report, "a day after the service has begun to register").await;
}
