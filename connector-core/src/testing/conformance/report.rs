use std::collections::BTreeMap;
use std::fmt;

/// One of the promises of the framework: a bug that connectors have, and that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promise(u8);

/// What each promise says, and what stands for it where the kit has nothing to try.
const PROMISES: [(&str, &str); 30] = [
    ("syncing ends, and only when all of it has", ""),
    ("work neither forks nor dies", ""),
    ("a burst of pushes is one pass, and none is lost", "the connector takes no pushes"),
    ("one run does a bounded amount of work", ""),
    ("enabling and activating do not call the service", ""),
    ("two runs do not change the same state", "the host sees to it"),
    ("the cursor moves with its items", ""),
    ("a crash and a disable leave nothing behind", ""),
    ("queued work survives new code", ""),
    ("what cannot succeed is not retried, what can is", ""),
    ("a service that is busy is left alone", ""),
    ("a lost authorization shows, and nothing is lost by it", ""),
    ("there is one live registration for each scope", "the service registers nothing"),
    ("what is pushed is verified", "the service pushes nothing"),
    ("tokens are refreshed once, and used fresh", "the connector has no provider"),
    ("items and replies go where they belong", ""),
    ("what is declared is implemented", "the compiler sees to it"),
    ("authors are those who wrote", "the compiler sees to it"),
    ("nothing comes back as an echo", ""),
    ("nothing is there twice", ""),
    ("a backfill is no news", ""),
    ("items have their own time", "the service does not tell when items came to be"),
    ("however an item comes, it is the same", ""),
    ("an edit changes what the user changed", ""),
    ("the user's formatting stays", "users write no notes"),
    ("content is converted in one place", "the host sees to it"),
    ("events come in any order", "the service has no events that recur"),
    ("what tests run against is real", "choose the service of the tests so"),
    ("secrets are not seen", ""),
    ("what is indexed late, or in the same second, is not skipped", ""),
];

impl Promise {
    /// The promise with this number, from 1 to 30.
    pub const fn new(number: u8) -> Self {
        assert!(number >= 1 && number <= 30, "there are the promises 1 to 30");
        Self(number)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=30).map(Self)
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    fn texts(self) -> (&'static str, &'static str) {
        PROMISES.get(usize::from(self.0) - 1).copied().unwrap_or_default()
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
