//! The conformance kit finds what it is for: a toy tracker keeps its promises, and each of its bugs breaks one.

mod keyed;
mod service;
mod tracker;

use connector_core::testing::conformance::{Conformance, Promise, Report, Verdict};

use service::TrackerService;
use tracker::{BUG, Bug, TOKEN, Tracker};

fn lives(bug: Bug, service: fn() -> TrackerService) -> Conformance<TrackerService> {
    BUG.set(bug);
    TOKEN.set(None);
    Conformance::of::<Tracker>(service)
}

/// The kit finds this bug, by this promise.
#[track_caller]
fn finds(bug: Bug, promise: u8, service: fn() -> TrackerService, points: usize) {
    let report = lives(bug, service).points(points).run();
    assert!(report.failed().contains(&Promise::new(promise)), "L{promise} is not found broken by {bug:?}\n{report}");
}

fn polled() -> TrackerService {
    TrackerService::default()
}

#[track_caller]
fn keeps_all_but(report: &Report, untried: &[u8]) {
    report.assert();
    for promise in Promise::all() {
        let tried = matches!(report.verdict(promise), Verdict::Passed { .. });
        assert_eq!(tried, !untried.contains(&promise.number()), "{promise}\n{report}");
    }
}

/// R12.2
#[test]
fn a_sound_connector_keeps_its_promises() {
    keeps_all_but(&lives(Bug::None, polled).points(12).run(), &[3, 6, 13, 14, 17, 26, 27, 28]);
}

/// R12.2, R11.4: where the service pushes.
#[test]
fn a_sound_connector_that_is_pushed_to_keeps_its_promises() {
    keeps_all_but(&lives(Bug::None, TrackerService::pushing).points(12).run(), &[6, 17, 26, 27, 28]);
}

/// R10.7, L39: an append that is marked as what it is is never made twice, whatever strikes.
#[test]
fn l39_a_marked_append_is_made_once() {
    keeps_all_but(&lives(Bug::MarksAnAppend, polled).points(24).run(), &[3, 6, 13, 14, 17, 26, 27, 28]);
}

/// R12.2, L11: the host holds back what a connector asks of a busy service at once again.
#[test]
fn l11_a_busy_service_that_is_asked_again_at_once() {
    let report = lives(Bug::AsksAgainAtOnce, polled).points(4).run();
    assert!(matches!(report.verdict(Promise::new(11)), Verdict::Passed { .. }), "{report}");
}

macro_rules! bugs {
    ($($name:ident: $bug:ident breaks $promise:literal of $service:path, at $points:literal points;)*) => {
        $(
            /// R12.2
            #[test]
            fn $name() {
                finds(Bug::$bug, $promise, $service, $points);
            }
        )*
    };
}

bugs! {
    l1_a_sync_that_never_ends: NeverEnds breaks 1 of polled, at 0 points;
    l2_work_that_forks: Forks breaks 2 of polled, at 0 points;
    l2_work_that_forks_without_a_call: ForksQuietly breaks 2 of polled, at 0 points;
    l4_all_pages_in_one_run: AllInOneRun breaks 4 of polled, at 0 points;
    l5_a_call_while_a_channel_is_enabled: CallsWhenEnabled breaks 5 of polled, at 0 points;
    l7_a_cursor_that_moves_before_its_items: MovesItsCursorFirst breaks 7 of polled, at 12 points;
    l8_state_that_stays_after_its_channel: LeavesState breaks 8 of polled, at 0 points;
    l8_state_that_stays_under_any_key: LeavesStateUnderItsOwnName breaks 8 of polled, at 0 points;
    l9_an_upgrade_that_fails: UpgradeFails breaks 9 of polled, at 0 points;
    l10_permanent_failures_that_are_retried: TakesAllForTransient breaks 10 of polled, at 0 points;
    l12_a_lost_token_that_nobody_sees: SwallowsRefusals breaks 12 of polled, at 0 points;
    l12_a_call_to_an_undeclared_url: AsksElsewhere breaks 12 of polled, at 0 points;
    l15_a_token_that_is_kept: KeepsTheToken breaks 15 of polled, at 4 points;
    l16_a_reply_that_is_sent_to_nobody: SendsNothing breaks 16 of polled, at 0 points;
    l18_an_author_who_is_nobody: NamesNobody breaks 18 of polled, at 0 points;
    l19_a_write_that_comes_of_reading: WritesWhatItReads breaks 19 of polled, at 0 points;
    l39_an_append_that_is_repeated: RepeatsAnAppend breaks 19 of polled, at 24 points;
    l20_ids_that_are_unique_in_a_project_only: IdsOfOneProject breaks 20 of polled, at 0 points;
    l21_a_backfill_that_is_all_unread: AllIsUnread breaks 21 of polled, at 0 points;
    l22_now_as_the_time_of_an_old_item: TimesOfNow breaks 22 of polled, at 0 points;
    l23_less_when_it_is_followed: LessWhenLive breaks 23 of polled, at 0 points;
    l24_an_edit_that_sends_the_whole_item: SendsAll breaks 24 of polled, at 0 points;
    l25_a_note_whose_stored_form_is_forgotten: ForgetsWhatWasStored breaks 25 of polled, at 0 points;
    l29_a_token_in_a_url: TokenInTheUrl breaks 29 of polled, at 0 points;
    l30_a_watermark_without_overlap: NoOverlap breaks 30 of polled, at 0 points;
    l31_a_watermark_beyond_now: FoldsTheNewest breaks 31 of polled, at 0 points;
    l32_pages_that_are_asked_for_for_ever: AsksForEver breaks 32 of polled, at 0 points;
    l35_keys_that_a_backup_repeats: SendsItsOwnKeys breaks 35 of polled, at 0 points;
    l37_what_is_deleted_stays: NeverComplete breaks 37 of polled, at 0 points;
    l42_pages_that_are_read_whole: ReadsWholePages breaks 42 of polled, at 0 points;
    l3_a_task_for_each_push: FetchesEachPush breaks 3 of TrackerService::pushing, at 0 points;
    l3_pushes_that_are_dropped: DropsWhatComesSoon breaks 3 of TrackerService::pushing, at 0 points;
    l12_work_that_needs_what_was_declined: NeedsWhatWasDeclined breaks 12 of TrackerService::pushing, at 0 points;
    l13_a_registration_that_is_not_deleted: ForgetsItsRegistration breaks 13 of TrackerService::pushing, at 0 points;
    l13_a_secret_that_is_not_the_hosts: RegistersAnotherSecret breaks 13 of TrackerService::pushing, at 0 points;
    l13_two_registrations_at_once: RegistersTwice breaks 13 of TrackerService::pushing, at 0 points;
    l13_a_registration_that_ends: HidesTheEndOfItsRegistration breaks 13 of TrackerService::pushing, at 0 points;
    l14_a_push_that_is_not_signed: TakesWhatIsNotSigned breaks 14 of TrackerService::pushing, at 0 points;
}

/// R12.2, L12: a key that the service takes no more is seen, and another one is taken.
#[test]
fn l12_a_lost_key() {
    let lives = |bug: Bug| {
        BUG.set(bug);
        Conformance::of::<keyed::KeyedTracker>(polled).points(0).run()
    };
    let report = lives(Bug::None);
    report.assert();
    assert!(matches!(report.verdict(Promise::new(12)), Verdict::Passed { .. }), "{report}");
    let report = lives(Bug::SwallowsRefusals);
    assert!(report.failed().contains(&Promise::new(12)), "{report}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 8, failure_persistence: None, ..Default::default() })]

    /// Issue 4: both ends edit at random, what the service pushes comes twice, late and in any order, and the host is
    /// killed at random; they converge, and the service is changed at most by the user's edits.
    #[test]
    fn both_ends_converge(seed: u64) {
        lives(Bug::None, TrackerService::pushing).week(seed, 20).assert();
    }

    /// The same, where the service does not push.
    #[test]
    fn both_ends_converge_by_polling(seed: u64) {
        lives(Bug::None, polled).week(seed, 20).assert();
    }
}

/// Issue 4, R6.5: killed a thousand times in a week, the host has what the service has.
#[test]
fn a_thousand_kills_in_a_week() {
    let report = lives(Bug::None, TrackerService::pushing).weeks(1000, 1000);
    report.assert();
    assert_eq!(report.kills(), 1000);
}
