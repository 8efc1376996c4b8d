//! What came of each change, kept between runs.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::MutantsError;
use super::draw::Mutant;

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A test failed.
    Caught,
    /// A test did not end in time.
    Timeout,
    /// All tests passed.
    Missed,
    /// The change does not compile.
    Unviable,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Caught, Self::Timeout, Self::Missed, Self::Unviable];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Timeout => "timeout",
            Self::Missed => "missed",
            Self::Unviable => "unviable",
        }
    }
}

/// What came of a change, and how long that took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tested {
    pub(crate) outcome: Outcome,
    pub(crate) seconds: u64,
}

/// The results of one seed.
pub(crate) struct Results {
    path: PathBuf,
    /// The root of the workspace.
    root: PathBuf,
    seed: u64,
    /// What identifies the files whose tests passed without a change.
    sound: Option<String>,
    /// By the key of the change and the text of its file: another text is tested anew.
    tested: BTreeMap<String, Tested>,
}

impl Results {
    /// Reads what is kept; nothing is kept of another seed than the given one.
    pub(crate) fn read(path: &Path, root: &Path, seed: Option<u64>) -> Result<Self, MutantsError> {
        let kept: Value = match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(MutantsError::file(path, "cannot be read")(error)),
        };
        let known = kept.get("seed").and_then(Value::as_u64);
        let seed = seed.or(known).unwrap_or_else(new_seed);
        let read = |(key, value): (&String, &Value)| {
            let word = value.get("outcome")?.as_str()?;
            let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)?;
            Some((key.clone(), Tested { outcome, seconds: value.get("seconds")?.as_u64()? }))
        };
        let tested = kept.get("tested").and_then(Value::as_object).into_iter().flatten().filter_map(read);
        let tested = tested.filter(|_| known == Some(seed)).collect();
        let sound = kept.get("sound").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { path: path.to_owned(), root: root.to_owned(), seed, sound, tested })
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The name of the change, and what identifies the text of its file.
    fn key(&self, mutant: &Mutant) -> Result<String, MutantsError> {
        let path = self.root.join(&mutant.file);
        let text = fs::read(&path).map_err(MutantsError::file(&path, "cannot be read"))?;
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        Ok(format!("{} {:016x}", mutant.name, hash.finish()))
    }

    pub(crate) fn get(&self, mutant: &Mutant) -> Result<Option<Tested>, MutantsError> {
        Ok(self.tested.get(&self.key(mutant)?).cloned())
    }

    /// Keeps a result, on the disk too: the run may be stopped at any time.
    pub(crate) fn keep(&mut self, mutant: &Mutant, one: &Tested) -> Result<(), MutantsError> {
        self.tested.insert(self.key(mutant)?, one.clone());
        self.write()
    }

    /// Forgets the changes that no test noticed, unless the tests are still the same.
    pub(crate) fn forget_missed(&mut self, files: &str) {
        if !self.is_sound(files) {
            self.tested.retain(|_, one| one.outcome != Outcome::Missed);
        }
    }

    /// Whether the tests of these files have passed without a change.
    pub(crate) fn is_sound(&self, files: &str) -> bool {
        self.sound.as_deref() == Some(files)
    }

    /// The tests of these files have passed without a change.
    pub(crate) fn keep_sound(&mut self, files: String) -> Result<(), MutantsError> {
        self.sound = Some(files);
        self.write()
    }

    fn write(&self) -> Result<(), MutantsError> {
        let tested: BTreeMap<_, _> = self
            .tested
            .iter()
            .map(|(key, one)| (key, json!({"outcome": one.outcome.word(), "seconds": one.seconds})))
            .collect();
        let text = format!("{:#}\n", json!({"seed": self.seed, "sound": self.sound, "tested": tested}));
        let temporary = self.path.with_extension("tmp");
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .map_err(MutantsError::file(&self.path, "cannot be written"))
    }
}

fn new_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}
