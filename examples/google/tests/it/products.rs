//! Three products, each with scopes of its own.

use connector_core::runtime::ProductState;

use crate::model::{ADA, Shared};
use crate::rig::{Rig, calendar};

/// R1.2, R1.10: what was declined is not listed, and the host says so; the rest works.
#[tokio::test]
async fn products_can_be_declined() {
    let rig = Rig::with(Shared::default(), &["tasks:home"], Some(&["calendar", "tasks"])).await;
    let states: Vec<_> = rig.host.runtime().products(rig.connection).await.expect("there is the connection");
    let states: Vec<_> = states.into_iter().map(|product| (product.key, product.state)).collect();
    assert_eq!(
        states,
        [("mail", ProductState::ScopeMissing), ("calendar", ProductState::Granted), ("tasks", ProductState::Granted)]
    );
    let channels = rig.host.run(rig.host.runtime().channels(rig.connection)).await.expect("they can be listed");
    let ids: Vec<_> = channels.iter().map(|channel| channel.channel.id.to_string()).collect();
    let calendars = [format!("calendar:{ADA}"), "calendar:holidays#acme.test".to_owned()];
    assert_eq!(ids, [&calendars[..], &["tasks:home".to_owned()]].concat());
    rig.host.runtime().disable_channel(rig.connection, &calendar()).await.expect("it is there");
    let states = rig.host.runtime().products(rig.connection).await.expect("there is the connection");
    assert_eq!(states[1].state, ProductState::Off);
}

/// R1.10, R11: each channel has the work of its product, and no other.
#[tokio::test]
async fn a_channel_has_the_work_of_its_product() {
    let rig = Rig::new(&Shared::default(), &["mail:INBOX", "tasks:home"]).await;
    let work = rig.host.runtime().work(rig.connection).await.expect("there is the connection");
    let mut work: Vec<_> = work
        .iter()
        .map(|work| (work.name.clone(), work.channel.as_ref().map(ToString::to_string).unwrap_or_default()))
        .collect();
    work.sort_unstable();
    let calendar = format!("calendar:{ADA}");
    let expected = [("conversations", "mail:INBOX"), ("events", &calendar), ("tasks", "tasks:home")];
    assert_eq!(work, expected.map(|(name, channel)| (name.to_owned(), channel.to_owned())));
    let subscriptions = rig.host.runtime().subscriptions(rig.connection).await.expect("there is the connection");
    let watched: Vec<_> = subscriptions.into_iter().map(|watch| watch.channel.map(|id| id.to_string())).collect();
    assert_eq!(watched, [Some(calendar)]);
}
