//! What is left of channels that were disabled, whatever it is called.

use std::collections::BTreeSet;

use super::super::life::{Life, Setup, Wrong, minutes};
use super::super::{ConformanceService, Report};

/// Two lives in which channels are enabled and disabled: one channel, and all of them. What each channel leaves behind
/// is more after the second.
pub(super) async fn leftovers<S: ConformanceService>(setup: &Setup<S>, report: &mut Report) {
    let mut left = Vec::new();
    for most in [1, usize::MAX] {
        let mut life = Life::new(setup, Wrong::default()).await;
        report.lived();
        if !life.connect().await || life.channels.len() < 2 {
            return;
        }
        let channels: Vec<_> = life.channels.iter().take(most).cloned().collect();
        let now = life.now();
        for channel in &channels {
            life.make(channel, &format!("An item of {channel}"), now);
        }
        let before = keys(&life).await;
        for channel in &channels {
            life.enable(channel).await;
        }
        life.look().await;
        for channel in &channels {
            life.disable(channel).await;
        }
        life.advance(minutes(5)).await;
        left.push((channels.len(), &keys(&life).await - &before));
    }
    let [(_, of_one), (count, of_all)] = left.as_slice() else { return };
    let grown = of_all.len() > of_one.len();
    let names = || of_all.difference(of_one).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    report.check(8, grown.then(|| format!("after {count} channels were disabled, the state still has {}", names())));
}

/// The keys of the connector's own state.
async fn keys<S: ConformanceService>(life: &Life<'_, S>) -> BTreeSet<String> {
    let Some(id) = life.connection else { return BTreeSet::new() };
    let entries = life.runtime().state(id, "").await.unwrap_or_default();
    entries.into_iter().map(|(key, _)| key).collect()
}
