//! How long a group of commits waits for those who are about to come.

use std::time::Duration;

/// From this many on, those who commit side by side are worth waiting for.
const CROWD: usize = 8;

/// From this many on, others save a group next to nothing more (storage.md, 2), and have work of their own meanwhile.
const COMPLETE: usize = 64;

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_millis(1);

/// At most so many groups in a row go without waiting, after waits that were for nothing.
const MAX_SKIP: u32 = 64;

/// Those who commit side by side.
///
/// Who has been answered is often about to commit again. If the next group went without them, there would
/// be two crowds that wait for the disk in turn, each while the other has nothing to do; together they
/// share one wait. So a group waits for those of the one before, as long as they keep coming and for half
/// of what a commit takes at most. Where they do not come back, groups stop waiting for a while.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// How many were answered with the last group.
    answered: usize,
    /// What a commit took of late.
    commit: Duration,
    /// Groups that are still to go without waiting.
    skip: u32,
    /// How many the next futile wait makes go without.
    next_skip: u32,
}

/// For whom a group waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// With so many it is as good as complete.
    pub(super) enough: usize,
    /// No longer than this.
    pub(super) limit: Duration,
}

impl Crowd {
    /// Whether a group waits that has so many members by now.
    pub(super) fn wait(&mut self, members: usize) -> Option<Wait> {
        let limit = (self.commit / 2).min(MAX_WAIT);
        if self.answered < CROWD || members >= COMPLETE || limit < Duration::from_micros(50) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let all = members + self.answered;
        Some(Wait { enough: (all - all / 8).min(COMPLETE), limit })
    }

    /// So many came during a wait.
    pub(super) fn waited(&mut self, came: usize) {
        if came < self.answered / 4 {
            self.next_skip = (self.next_skip * 2).clamp(1, MAX_SKIP);
            self.skip = self.next_skip;
        } else {
            self.next_skip = 0;
        }
    }

    /// A group was stored and answered.
    pub(super) fn committed(&mut self, members: usize, took: Duration) {
        self.answered = members;
        self.commit = if self.commit.is_zero() { took } else { (self.commit * 7 + took) / 8 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_micros(400);

    #[test]
    fn few_do_not_wait_and_nobody_waits_where_the_disk_is_fast() {
        let mut crowd = Crowd::default();
        assert_eq!(crowd.wait(3), None);
        crowd.committed(CROWD - 1, COMMIT);
        assert_eq!(crowd.wait(50), None);
        let mut fast = Crowd::default();
        fast.committed(50, Duration::from_micros(60));
        assert_eq!(fast.wait(10), None);
    }

    #[test]
    fn a_group_waits_for_those_who_were_answered_and_for_half_a_commit_at_most() {
        let mut crowd = Crowd::default();
        crowd.committed(24, COMMIT);
        assert_eq!(crowd.wait(24), Some(Wait { enough: 42, limit: COMMIT / 2 }));
        assert_eq!(crowd.wait(COMPLETE), None);
        assert_eq!(crowd.wait(COMPLETE - 1).map(|wait| wait.enough), Some(COMPLETE));
        crowd.committed(24, Duration::from_secs(1));
        assert_eq!(crowd.wait(0).map(|wait| wait.limit), Some(MAX_WAIT));
    }

    #[test]
    fn those_who_do_not_come_back_are_waited_for_more_and_more_rarely() {
        let mut crowd = Crowd::default();
        crowd.committed(24, COMMIT);
        let mut waits = Vec::new();
        for group in 0..20 {
            if crowd.wait(1).is_some() {
                waits.push(group);
                crowd.waited(2);
            }
        }
        assert_eq!(waits, [0, 2, 5, 10, 19]);
        crowd.waited(20);
        assert!(crowd.wait(1).is_none(), "what was to be left out is");
        while crowd.wait(1).is_none() {}
        crowd.waited(20);
        assert!(crowd.wait(1).is_some());
    }
}
