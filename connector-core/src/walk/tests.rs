use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

use super::{Items, Pages, Seen, Since};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

#[test]
fn a_future_time_does_not_move_the_watermark() {
    let mut since = Since::new(at(0));
    assert!(since.is_new(at(600), at(300), "a"));
    assert!(since.is_new(at(600), "2099-01-01T00:00:00Z".parse().unwrap(), "b"));
    let since = since.ended();
    assert_eq!(since.start(at(900)), at(180));
}

#[test]
fn a_service_clock_ahead_by_seconds_counts_as_now() {
    let mut since = Since::new(at(0));
    assert!(since.is_new(at(600), at(640), "a"));
    assert_eq!(since.ended().start(at(900)), at(480));
}

#[test]
fn a_clock_that_was_set_back_is_looked_behind() {
    let mut since = Since::new(at(0));
    since.is_new(at(5000), at(4900), "a");
    let mut since = since.ended();
    assert_eq!(since.start(at(1000)), at(880));
    assert!(since.is_new(at(1000), at(990), "b"));
    assert!(!since.is_past(at(1000), at(990)));
}

#[test]
fn an_item_with_a_future_time_is_looked_at_each_time() {
    let mut since = Since::new(at(0));
    for look in 1..5 {
        assert!(since.is_new(at(look * 900), at(10_000_000), "a"));
        since = since.ended();
    }
}

#[test]
fn more_items_than_are_remembered_are_looked_at_again() {
    let mut since = Since::new(at(0));
    for look in 1..4 {
        for item in 0..5_000 {
            since.is_new(at(look * 900), at(800), item.to_string());
        }
        since = since.ended();
        assert!(serde_json::to_vec(&since).unwrap().len() < 400_000);
    }
    assert!(since.is_new(at(9_000), at(800), "new"));
}

/// What happens to an item of a service.
#[derive(Debug, Clone)]
struct Change {
    /// Seconds since the change before.
    after: i64,
    item: u8,
    /// Seconds until the service lists it.
    listed_late: i64,
    /// It is dated in the year 2099.
    in_2099: bool,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..400i64, 0..6u8, 0..110i64, 0..12u8).prop_map(|(after, item, listed_late, dated)| Change {
        after,
        item,
        listed_late,
        in_2099: dated == 0,
    });
    prop::collection::vec(change, 1..60)
}

/// A version of an item: its number, the time that it is dated with, and when it is listed.
#[derive(Clone, Copy)]
struct Version {
    number: usize,
    item: u8,
    dated: Timestamp,
    listed: Timestamp,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the service's clock says, each look finds every change that is listed, and when nothing changes any more,
    /// nothing is fetched any more.
    #[test]
    fn every_change_is_found_and_quiet_lists_are_left_alone(changes in changes(), ahead in -3600..50i64, every in 60..900i64) {
        let mut now = at(0);
        let mut versions = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            now += SignedDuration::from_secs(change.after);
            let dated = if change.in_2099 { at(2_000_000_000) } else { now + SignedDuration::from_secs(ahead) };
            let listed = now + SignedDuration::from_secs(change.listed_late);
            versions.push(Version { number, item: change.item, dated, listed });
        }
        let end = now + SignedDuration::from_secs(110);
        let mut since = Since::new(at(-7200));
        let mut known = [None; 6];
        let mut look = at(0);
        let mut quiet = 0;
        while quiet < 4 {
            look += SignedDuration::from_secs(every);
            let mut fetched = 0;
            prop_assert!(since.start(look) <= look);
            for item in 0..6u8 {
                let mut listed = versions.iter().filter(|version| version.item == item && version.listed <= look);
                let Some(version) = listed.next_back().copied() else { continue };
                if version.dated >= since.start(look) && since.is_new(look, version.dated, item.to_string()) {
                    known[usize::from(item)] = Some(version.number);
                    fetched += u32::from(version.dated <= look + SignedDuration::from_secs(60));
                }
                prop_assert_eq!(known[usize::from(item)], Some(version.number));
            }
            since = since.ended();
            if look > end + SignedDuration::from_secs(240) {
                quiet += 1;
                prop_assert!(quiet < 4 || fetched == 0, "{} items are fetched for ever", fetched);
            }
        }
    }

    /// A walk over a list that leads back to any of its pages ends, after at most about three rounds.
    #[test]
    fn a_list_that_leads_back_ends(pages in 1..300u64, back_to in 0..300u64) {
        let back_to = back_to % pages;
        let (mut walk, mut asked) = (Pages::default(), 0);
        while let Ok(number) = walk.number(0) {
            asked += 1;
            prop_assert!(asked <= 4 * pages + 130, "{} pages were asked for", asked);
            walk = walk.after(Some(if number + 1 == pages { back_to } else { number + 1 })).unwrap();
        }
        // Of one of few pages, none is asked for twice, but for the first, whose name the service never said.
        prop_assert!(pages > 60 || asked <= pages + 1);
        prop_assert!(serde_json::to_vec(&walk).unwrap().len() < 2_000);
    }
}

#[test]
fn a_long_list_is_walked_to_its_end() {
    let mut walk = Pages::default();
    for page in 0..10_000u64 {
        assert_eq!(walk.number(0).unwrap(), page);
        walk = walk.after(Some(page + 1)).unwrap();
    }
    assert!(walk.after(Some("")).is_none());
    assert!(walk.after(None::<u64>).is_none());
}

#[test]
fn a_page_that_leads_to_itself_is_asked_for_once() {
    let second = Pages::default().after(Some("https://api.example.com/?page=2")).unwrap();
    assert!(second.at().unwrap().is_some());
    let error = second.after(second.at().unwrap()).unwrap().at().unwrap_err();
    assert!(error.to_string().contains("it has no end"), "{error}");
}

#[test]
fn what_was_seen_is_found_again() {
    let mut seen = Seen::default();
    for place in 0..100 {
        assert!(!seen.contains(place));
        seen.push(place);
    }
    assert!(seen.contains(0) && seen.contains(63) && !seen.contains(1_000));
}

#[derive(Debug, Deserialize, PartialEq)]
struct Issue {
    number: u64,
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Label {
    name: String,
}

#[test]
fn odd_items_are_told_with_their_place_and_reason() {
    let list =
        r#"[{"number": 1}, {"number": "seven"}, null, {"number": 2, "labels": [{"name": "a"}, "b"]}, {"number": 3}]"#;
    let found: Items<Issue> = serde_json::from_str(list).unwrap();
    let numbers: Vec<_> = found.items.iter().map(|issue| issue.number).collect();
    assert_eq!((numbers, found.len()), (vec![1, 3], 5));
    let odd: Vec<_> = found.odd.iter().map(|odd| (odd.place, odd.reason.as_str())).collect();
    assert_eq!(odd[0], (1, "number: invalid type: string \"seven\", expected u64"));
    assert_eq!((odd[1].0, odd[2].0), (2, 3));
    assert!(odd[2].1.starts_with("labels[1]"), "{}", odd[2].1);
    assert_eq!(found.odd[0].raw, r#"{"number":"seven"}"#);
}

#[test]
fn what_is_no_list_is_an_error() {
    assert!(serde_json::from_str::<Items<Issue>>(r#"{"message": "no"}"#).is_err());
    assert!(serde_json::from_str::<Items<Issue>>("[]").unwrap().is_empty());
}
