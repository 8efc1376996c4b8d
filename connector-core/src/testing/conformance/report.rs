use std::collections::BTreeMap;
use std::fmt;

/// One of the promises of the framework: a bug that connectors have, and that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promise(u8);

/// What each promise says, and what stands for it where the kit has nothing to try.
const PROMISES: [(u8, &str, &str); 35] = [
    (1, "syncing ends, and only when all of it has", ""),
    (2, "work neither forks nor dies", ""),
    (3, "a burst of pushes is one pass, and none is lost", "the connector takes no pushes"),
    (4, "one run does a bounded amount of work", ""),
    (5, "enabling and activating do not call the service", ""),
    (6, "two runs do not change the same state", "the host sees to it"),
    (7, "the cursor moves with its items", ""),
    (8, "a crash and a disable leave nothing behind", ""),
    (9, "queued work survives new code", ""),
    (10, "what cannot succeed is not retried, what can is", ""),
    (11, "a service that is busy is left alone", ""),
    (12, "a lost authorization shows, and nothing is lost by it", ""),
    (13, "there is one live registration for each scope", "the service registers nothing"),
    (14, "what is pushed is verified", "the service pushes nothing"),
    (15, "tokens are refreshed once, and used fresh", "the connector has no provider"),
    (16, "items and replies go where they belong", ""),
    (17, "what is declared is implemented", "the compiler sees to it"),
    (18, "authors are those who wrote", "the compiler sees to it"),
    (19, "nothing comes back as an echo", ""),
    (20, "nothing is there twice", ""),
    (21, "a backfill is no news", ""),
    (22, "items have their own time", "the service does not tell when items came to be"),
    (23, "however an item comes, it is the same", ""),
    (24, "an edit changes what the user changed", ""),
    (25, "the user's formatting stays", "users write no notes"),
    (26, "content is converted in one place", "the host sees to it"),
    (27, "events come in any order", "the service has no events that recur"),
    (28, "what tests run against is real", "choose the service of the tests so"),
    (29, "secrets are not seen", ""),
    (30, "what is indexed late, or in the same second, is not skipped", ""),
    (31, "a wrong clock of the service hides nothing", ""),
    (32, "a walk ends, also where the list does not", "the service has no lists that could lead in a circle"),
    (35, "a host that starts from a backup loses no message", "users write no notes"),
    (37, "what is deleted at the service goes here", "nothing can be deleted at the service, or no sync has a cursor"),
    (42, "an odd item loses nothing but itself", ""),
];

impl Promise {
    /// The promise with this number: one from 1 to 30, or one of those after them that the kit tries.
    ///
    /// # Panics
    ///
    /// If there is no such promise.
    pub const fn new(number: u8) -> Self {
        let mut place = 0;
        let mut known = false;
        while place < PROMISES.len() {
            #[allow(clippy::indexing_slicing, reason = "the place is within the table")]
            let (other, ..) = PROMISES[place];
            known |= other == number;
            place += 1;
        }
        assert!(known, "there is no such promise");
        Self(number)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        PROMISES.into_iter().map(|(number, ..)| Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    fn texts(self) -> (&'static str, &'static str) {
        let found = PROMISES.into_iter().find(|(number, ..)| *number == self.0);
        found.map(|(_, text, reason)| (text, reason)).unwrap_or_default()
    }

    /// What it says.
    pub fn text(self) -> &'static str {
        self.texts().0
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("L{}", self.0))
    }
}

/// Whether a promise is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is, as far as it was tried: so many times.
    Passed {
        /// How often it was checked.
        checks: usize,
    },
    /// It is not.
    Failed {
        /// What was seen, each once, in the order in which it was.
        seen: Vec<String>,
    },
    /// There was nothing to try.
    NotApplicable {
        /// Why.
        reason: String,
    },
}

/// What the life of a connector has shown, promise by promise.
#[derive(Debug, Clone, Default)]
pub struct Report {
    connector: String,
    lives: usize,
    kills: usize,
    checks: BTreeMap<Promise, usize>,
    seen: BTreeMap<Promise, Vec<String>>,
}

impl Report {
    pub(super) fn new(connector: &str) -> Self {
        Self { connector: connector.to_owned(), ..Self::default() }
    }

    pub(super) fn lived(&mut self) {
        self.lives += 1;
    }

    pub(super) fn killed(&mut self, kills: usize) {
        self.kills += kills;
    }

    /// A promise was tried, and this was seen that it does not allow.
    pub(super) fn check(&mut self, promise: u8, wrong: impl IntoIterator<Item = String>) {
        let promise = Promise(promise);
        *self.checks.entry(promise).or_default() += 1;
        for wrong in wrong {
            let seen = self.seen.entry(promise).or_default();
            if !seen.contains(&wrong) {
                seen.push(wrong);
            }
        }
    }

    /// Whether this promise is kept.
    pub fn verdict(&self, promise: Promise) -> Verdict {
        if let Some(seen) = self.seen.get(&promise) {
            return Verdict::Failed { seen: seen.clone() };
        }
        match self.checks.get(&promise) {
            Some(checks) => Verdict::Passed { checks: *checks },
            None => {
                let reason = match promise.texts().1 {
                    "" => "nothing of it was tried",
                    reason => reason,
                };
                Verdict::NotApplicable { reason: reason.to_owned() }
            }
        }
    }

    /// The promises that are not kept.
    pub fn failed(&self) -> Vec<Promise> {
        self.seen.keys().copied().collect()
    }

    /// How many lives were lived to find out.
    pub fn lives(&self) -> usize {
        self.lives
    }

    /// How often the host was killed at random in weeks of random edits.
    pub fn kills(&self) -> usize {
        self.kills
    }

    /// Prints the report, which tests show with `--no-capture`, and panics with it if a promise is not kept.
    ///
    /// # Panics
    ///
    /// If a promise is not kept.
    #[allow(clippy::panic, reason = "a test fails by it")]
    pub fn assert(&self) {
        assert!(self.seen.is_empty(), "{self}");
        println!("{self}");
    }
}

/// Lines that are shown of what was seen of one promise.
const MAX_SHOWN: usize = 6;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.seen.len();
        let kept = self.checks.len() - broken.min(self.checks.len());
        let (connector, lives, kills) = (&self.connector, self.lives, self.kills);
        writeln!(f, "{connector}: {kept} promises kept, {broken} broken, in {lives} lives, {kills} random kills")?;
        for promise in Promise::all() {
            let text = promise.text();
            match self.verdict(promise) {
                Verdict::Passed { checks } => writeln!(f, "  {promise:<4}passed          {text} ({checks} checks)")?,
                Verdict::NotApplicable { reason } => writeln!(f, "  {promise:<4}not applicable  {text}: {reason}")?,
                Verdict::Failed { seen } => {
                    writeln!(f, "  {promise:<4}FAILED          {text}")?;
                    for seen in seen.iter().take(MAX_SHOWN) {
                        writeln!(f, "        - {seen}")?;
                    }
                    if seen.len() > MAX_SHOWN {
                        writeln!(f, "        - and {} more", seen.len() - MAX_SHOWN)?;
                    }
                }
            }
        }
        Ok(())
    }
}
