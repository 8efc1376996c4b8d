//! What Google Calendar pushes. The emulator does not watch, so this is against the model alone.

use connector_core::runtime::SubscriptionState;
use connector_core::testing::conformance::{ConformanceService, Edit, Push};
use jiff::SignedDuration;

use crate::model::Shared;
use crate::rig::{PUBLIC_URL, Rig, calendar, minutes};

fn pushed(google: &Shared) -> Vec<Push> {
    google.with(|google| std::mem::take(&mut google.calendar.pushes))
}

/// A calendar with an event, which Google watches.
async fn watched() -> (Shared, Rig) {
    let google = Shared::default();
    let at = "2025-12-31T12:00:00Z".parse().expect("a time");
    google.with(|google| google.create(calendar().as_str(), "Lunch", "", at));
    let rig = Rig::new(&google, &[]).await;
    rig.host.settle().await;
    (google, rig)
}

fn rename(google: &Shared, rig: &Rig, title: &str) {
    let edit = Edit::Title(title.to_owned());
    assert!(google.with(|google| google.edit("calendar/e0", &edit, rig.now())));
}

/// R11.1, R11.4: a push has no body, and says that something has changed: then it is asked what, by the sync token.
#[tokio::test]
async fn a_push_brings_what_has_changed() {
    let (google, rig) = watched().await;
    // The first one says no more than that there is a watch.
    let first = pushed(&google).pop().expect("a notice");
    assert!(
        first.url.as_deref().is_some_and(|url| url.starts_with(&format!("{PUBLIC_URL}/hooks/")))
            && first.body.is_empty()
    );
    let walks = google.with(|google| google.calendar.walks);
    assert!(rig.push(&first).await);
    assert_eq!(google.with(|google| google.calendar.walks), walks);

    rename(&google, &rig, "Late lunch");
    let push = pushed(&google).pop().expect("a notice");
    assert!(push.headers.contains(&("X-Goog-Resource-State".to_owned(), "exists".to_owned())));
    assert!(rig.push(&push).await);
    assert!(rig.link("Late lunch").await.link.title.is_some());
    assert_eq!(google.with(|google| google.calendar.walks), (walks.0, walks.1 + 1));
}

/// L14: a push without the token that Google was given, or with another one, is refused.
#[tokio::test]
async fn a_push_has_the_token_of_its_watch() {
    let (google, rig) = watched().await;
    rename(&google, &rig, "Late lunch");
    let push = pushed(&google).pop().expect("a notice");
    let token = google.with(|google| google.calendar.watches[0].token.clone()).expect("a token");
    assert!(token.len() >= 32, "{token}");
    let walks = google.with(|google| google.calendar.walks);
    for forged in [None, Some(String::new()), Some(token.to_uppercase()), Some(format!("{token}0"))] {
        let mut other = push.clone();
        other.headers.retain(|(name, _)| name != "X-Goog-Channel-Token");
        other.headers.extend(forged.map(|token| ("X-Goog-Channel-Token".to_owned(), token)));
        assert!(!rig.push(&other).await, "{other:?}");
    }
    assert_eq!(google.with(|google| google.calendar.walks), walks);
}

/// R11.4: Google watches for a week, so another watch takes the place of one before it ends; then the old one is stopped.
#[tokio::test]
async fn a_watch_is_renewed_before_it_ends() {
    let (google, rig) = watched().await;
    let ids = |google: &Shared| {
        google.with(|google| google.calendar.watches.iter().map(|watch| watch.id.clone()).collect::<Vec<_>>())
    };
    let first = ids(&google);
    assert_eq!(first.len(), 1);
    for _ in 0..8 {
        rig.host.advance(SignedDuration::from_hours(24)).await;
        let watching = google.with(|google| google.calendar.watching().count());
        assert_eq!(watching, 1, "there is one live watch at any time");
    }
    assert_ne!(ids(&google), first);
    let view = rig.host.runtime().subscriptions(rig.connection).await.expect("there is the connection").remove(0);
    assert_eq!(view.state, SubscriptionState::Live);
    assert!(view.renew_at.is_some_and(|at| at > rig.now()) && view.expires_at > view.renew_at);
    rename(&google, &rig, "Late lunch");
    let push = pushed(&google).pop().expect("a notice");
    assert!(rig.push(&push).await);
    assert!(rig.link("Late lunch").await.link.title.is_some());

    rig.host.runtime().disable_channel(rig.connection, &calendar()).await.expect("it is there");
    rig.host.advance(minutes(5)).await;
    assert_eq!(ids(&google), Vec::<String>::new());
}

/// R11.4, L13: a watch of which Google's answers were lost is stopped once there is another.
#[tokio::test]
async fn a_watch_that_was_lost_is_stopped() {
    let google = Shared::default();
    google.with(|google| google.calendar.losing = 2);
    let rig = Rig::new(&google, &[]).await;
    rig.host.settle().await;
    assert!(google.with(|google| google.calendar.losing) < 2, "the host knows of none");
    rig.host.advance(minutes(60)).await;
    let (losing, watches) = google.with(|google| (google.calendar.losing, google.calendar.watches.clone()));
    assert_eq!((losing, watches.len()), (0, 1));
    let view = rig.host.runtime().subscriptions(rig.connection).await.expect("there is the connection").remove(0);
    assert_eq!(view.state, SubscriptionState::Live);
    rig.host.runtime().disable_channel(rig.connection, &calendar()).await.expect("it is there");
    rig.host.advance(minutes(5)).await;
    assert_eq!(google.with(|google| google.calendar.watches.len()), 0);
}

/// R11.4: a calendar that Google does not watch is polled, visibly.
#[tokio::test]
async fn a_calendar_that_cannot_be_watched_is_polled() {
    let rig = Rig::new(&Shared::default(), &["calendar:holidays#acme.test"]).await;
    let views = rig.host.runtime().subscriptions(rig.connection).await.expect("there is the connection");
    let view = views.iter().find(|view| view.channel.as_ref().is_some_and(|id| id.as_str().contains("holidays")));
    let view = view.expect("a subscription");
    assert_eq!(view.state, SubscriptionState::Polling);
    assert!(view.reason.as_deref().is_some_and(|why| why.contains("pushNotSupported")), "{view:?}");
}
