//! The rules of the [engine port](crate::engine), as checks that run on any engine.
//!
//! An engine runs them as tests of its own crate, which needs `tokio` with its macros and its
//! multi-thread runtime. Each check gets a new, empty store:
//!
//! ```
//! use connector_core::testing::{MemoryEngine, TestStore};
//!
//! connector_core::engine_conformance!(|| async { TestStore::new(MemoryEngine::new()) });
//! # fn main() {}
//! ```
//!
//! The name of a check is the rule. Instants are compared to the microsecond, which is what
//! databases keep; texts hold no NUL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed check is reported by a panic"
)]

mod atomicity;
mod connections;
mod deliveries;
mod feed;
mod files;
mod fixture;
mod links;
mod listeners;
mod notes;
mod rows;
mod search;
mod secrets;
mod state;
mod store;
mod tasks;
mod threads;

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::clock::BoxFuture;
use crate::engine::Engine;

/// One rule of the port.
#[derive(Clone, Copy)]
pub struct Check {
    /// The rule, as the name of a function.
    pub name: &'static str,
    run: fn(TestStore) -> BoxFuture<'static, ()>,
}

impl Check {
    /// Panics if this store breaks the rule.
    pub async fn run(&self, store: TestStore) {
        (self.run)(store).await;
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// A new, empty store for one check.
pub struct TestStore {
    engine: Arc<dyn Engine>,
    reopen: Option<Reopen>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

type Reopen = Box<dyn FnOnce() -> BoxFuture<'static, Arc<dyn Engine>> + Send + Sync>;

impl TestStore {
    /// The store of this engine, which holds nothing yet.
    pub fn new(engine: impl Engine) -> Self {
        Self { engine: Arc::new(engine), reopen: None, kept: Vec::new() }
    }

    /// With how it is opened again after it was closed. Without it, the checks of what lasts are passed over.
    pub fn reopened<E: Engine, F: Future<Output = E> + Send + 'static>(
        mut self,
        open: impl FnOnce() -> F + Send + Sync + 'static,
    ) -> Self {
        self.reopen = Some(Box::new(move || {
            let opened = open();
            Box::pin(async move { Arc::new(opened.await) as Arc<dyn Engine> })
        }));
        self
    }

    /// With something that has to live as long as the store: its directory, or its database.
    pub fn keeping(mut self, thing: impl Send + Sync + 'static) -> Self {
        self.kept.push(Box::new(thing));
        self
    }
}

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestStore").field("reopens", &self.reopen.is_some()).finish_non_exhaustive()
    }
}

/// Runs every rule of the port, each on a store of its own. Panics with the names of those that are broken.
pub async fn engine_conformance<F: Future<Output = TestStore>>(open: impl Fn() -> F) {
    let mut broken = Vec::new();
    for check in checks() {
        let store = open().await;
        if let Err(panic) = AssertUnwindSafe(check.run(store)).catch_unwind().await {
            let text =
                panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            broken.push(format!("{}: {}", check.name, text.unwrap_or("it panicked")));
        }
    }
    assert!(
        broken.is_empty(),
        "the engine breaks {} of {} rules:\n{}",
        broken.len(),
        checks().len(),
        broken.join("\n")
    );
}

/// All rules of the port.
pub fn checks() -> &'static [Check] {
    const CHECKS: &[Check] = crate::__engine_checks!(@names table);
    CHECKS
}

/// Runs the rule with this name.
#[doc(hidden)]
pub async fn run_check(name: &str, store: TestStore) {
    let check = checks().iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("there is no rule `{name}`")).run(store).await;
}

/// Makes one test of each [rule of the engine port](mod@crate::testing::engine_conformance). Its argument
/// gives a new, empty [`TestStore`](crate::testing::TestStore) each time: an async function, or a closure
/// with an async block.
#[macro_export]
macro_rules! engine_conformance {
    ($open:expr) => {
        $crate::__engine_checks!(@names tests $open);
    };
}

/// The list of the rules, once, and what is made of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __engine_checks {
    (@names $then:ident $($args:tt)*) => {
        $crate::__engine_checks! { @$then [
            atomicity: a_refused_set_leaves_nothing_of_any_kind_of_write
                an_unmet_expectation_refuses_the_whole_set
                a_refused_completion_leaves_the_task_as_it_was
                a_missing_task_refuses_the_whole_set
                an_empty_set_is_stored;
            state: state_is_read_in_the_order_of_the_keys_asked_for
                state_versions_never_repeat
                state_prefixes_are_literal_and_in_order
                a_state_prefix_is_removed_and_nothing_else
                a_state_value_is_removed_by_version
                a_state_version_is_expected
                an_absent_state_key_is_expected
                a_state_prefix_is_expected
                state_belongs_to_its_connection
                concurrent_increments_lose_nothing;
            tasks: a_new_task_waits
                a_done_task_is_gone
                a_task_that_runs_again_starts_anew
                a_task_that_is_retried_keeps_its_attempts_and_errors
                a_dead_task_is_a_dead_letter
                a_recurring_task_goes_on_beside_its_dead_letter
                each_run_of_a_task_has_a_nonce_of_its_own
                a_task_that_changed_while_it_ran_stays_and_starts_anew
                a_completion_comes_before_the_writes
                a_task_is_completed_once
                a_replaced_task_keeps_its_id
                a_coalesced_task_runs_at_the_earlier_time
                a_kept_task_is_untouched
                a_task_key_belongs_to_its_connection
                a_task_is_deleted_by_id_and_by_key
                the_tasks_of_a_connection_are_deleted
                the_tasks_of_users_in_a_channel_are_expected
                the_tasks_of_a_channel_are_deleted
                tasks_are_hastened_by_the_prefix_of_their_key
                immediate_tasks_are_paged_by_id
                scheduled_tasks_are_paged_by_time_and_id
                scheduled_tasks_within_a_microsecond_are_paged_without_loss
                tasks_and_dead_letters_are_listed
                a_dead_letter_becomes_a_task_again;
            connections: connections_are_listed_by_user_and_connector
                a_connection_row_is_versioned
                a_claim_belongs_to_one_connection
                one_of_concurrent_claims_is_stored
                sources_go_with_the_last_link_of_their_thread
                a_channel_row_is_versioned
                channels_are_in_the_order_of_their_ids
                a_channel_is_deleted_without_its_links
                counting_what_was_saved_conflicts_with_nobody
                a_deleted_connection_takes_what_is_its_own_and_nothing_else
                callbacks_are_stored_and_deleted
                sealed_callbacks_are_revoked;
            deliveries: a_delivery_comes_back_equal
                a_connection_has_one_delivery_for_each_key
                a_delivery_is_redirected_and_deleted
                deliveries_are_listed_newest_first_and_paged
                connections_are_found_by_tenant;
            links: a_link_row_is_versioned
                links_are_found_by_source_in_the_order_given
                a_connection_has_one_link_for_each_source
                a_link_is_deleted_with_its_notes
                links_are_listed_newest_first_and_paged
                links_within_a_microsecond_are_paged_without_loss
                links_are_filtered;
            search: words_are_found_in_any_normal_form_and_case
                a_title_is_found_by_parts_of_its_words
                results_are_ranked_and_paged_by_thread
                a_search_is_within_its_filters
                a_search_follows_changes_and_deletions;
            notes: a_note_row_is_versioned
                notes_are_found_by_key_in_the_order_given
                a_link_has_one_note_for_each_key
                a_note_gets_its_key_later
                notes_of_a_link_are_oldest_first
                a_note_is_deleted;
            files: a_file_comes_back_equal
                a_file_row_is_versioned
                a_chunk_needs_a_file_that_is_not_whole
                a_whole_file_is_expected
                a_file_goes_with_its_last_note
                unused_files_are_found_by_age
                unused_bytes_are_those_of_a_user;
            threads: threads_of_sources_cross_connections
                a_source_that_is_no_links_own_has_a_thread
                the_thread_of_a_source_is_expected
                merged_threads_are_one_in_all_connections
                merged_threads_stay_aliases_through_chains
                a_merge_changes_the_rows_that_it_moves
                user_marks_are_versioned
                user_marks_follow_a_merge;
            feed: feed_positions_increase_in_the_order_of_commits
                the_feed_is_paged
                a_trimmed_feed_goes_on_where_it_was
                a_refused_set_adds_nothing_to_the_feed
                no_entry_appears_behind_a_reader;
            listeners: a_listener_hears_of_a_set_before_its_commit_answers
                a_listener_hears_of_sets_in_the_order_of_the_commits
                a_listener_hears_of_sets_whose_caller_went_away
                a_listener_hears_of_changed_connections;
            rows: full_rows_come_back_equal
                empty_rows_come_back_equal
                long_and_strange_texts_come_back_equal
                every_word_of_the_enums_comes_back;
            secrets: a_secret_row_is_versioned
                a_secret_is_used_up_once
                secrets_are_listed_by_prefix_and_paged
                secrets_go_with_their_connection;
            store: ids_increase_and_are_unique_between_threads
                settings_are_stored_removed_and_listed
                a_setting_is_expected
                counts_count
                a_new_store_is_clean_and_empty
                a_closed_store_stores_nothing
                what_was_committed_is_there_after_reopening;
        ] $($args)* }
    };
    (@table [$($module:ident: $($name:ident)*;)*]) => {
        &[$($(Check { name: stringify!($name), run: |store| Box::pin($module::$name(store)) },)*)*]
    };
    (@tests [$($module:ident: $($name:ident)*;)*] $open:expr) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let store = ($open)().await;
                $crate::testing::engine_conformance::run_check(stringify!($name), store).await;
            }
        )*)*
    };
}

#[cfg(test)]
mod tests {
    use crate::testing::{MemoryEngine, TestStore};

    async fn open() -> TestStore {
        let engine = MemoryEngine::new();
        TestStore::new(engine.clone()).reopened(move || async move { engine.reopen() })
    }

    crate::engine_conformance!(open);

    /// A store that drops what it is given, to see that the suite as a whole tells.
    #[tokio::test]
    #[should_panic(expected = "a_refused_set_leaves_nothing_of_any_kind_of_write")]
    async fn the_rules_that_are_broken_are_named() {
        super::engine_conformance(|| async {
            let engine = MemoryEngine::new();
            engine.fail_commits(|_| Some(crate::engine::CommitError::RecordConflict.into()));
            TestStore::new(engine)
        })
        .await;
    }
}
