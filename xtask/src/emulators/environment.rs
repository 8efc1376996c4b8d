//! The KEY=VALUE lines in which the emulators say where they are.

use std::fmt;

use super::EmulatorError;

/// Variables in the order in which they were printed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Environment(Vec<(String, String)>);

/// A line that is not KEY=VALUE.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("line {number} of the environment is not KEY=VALUE: `{line}`")]
pub(crate) struct MalformedLine {
    number: usize,
    line: String,
}

impl Environment {
    /// Reads lines of KEY=VALUE; a value runs to the end of its line and may hold `=`. Empty lines are passed over.
    pub(crate) fn parse(text: &str) -> Result<Self, MalformedLine> {
        let mut variables = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let malformed = || MalformedLine { number: index + 1, line: line.to_owned() };
            let (key, value) = line.split_once('=').ok_or_else(malformed)?;
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(malformed());
            }
            variables.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(variables))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The variable, or an error that says that the environment ended too early.
    pub(crate) fn require(&self, key: &'static str) -> Result<&str, EmulatorError> {
        let missing = || MalformedLine { number: self.0.len() + 1, line: format!("{key} is missing") };
        Ok(self.get(key).ok_or_else(missing)?)
    }

    pub(crate) fn push(&mut self, key: &str, value: impl Into<String>) {
        self.0.push((key.to_owned(), value.into()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(key, value)| writeln!(out, "{key}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_equal_signs_and_come_back_as_printed() {
        let text = "EMU_PID=12\nGITHUB_APP_7001_PRIVATE_KEY_B64=QUJD=\nEMPTY=\n";
        let environment = Environment::parse(text).unwrap();
        assert_eq!(environment.get("GITHUB_APP_7001_PRIVATE_KEY_B64"), Some("QUJD="));
        assert_eq!(environment.get("EMPTY"), Some(""));
        assert_eq!(environment.get("NOT_THERE"), None);
        assert_eq!(environment.to_string(), text);
    }

    #[test]
    fn empty_lines_and_carriage_returns_are_no_variables() {
        let environment = Environment::parse("\nA=1\r\n\nB=2").unwrap();
        assert_eq!(environment.iter().collect::<Vec<_>>(), [("A", "1"), ("B", "2")]);
    }

    #[test]
    fn a_line_that_is_no_variable_is_named() {
        for line in ["loaded github", "=1", "A KEY=1", "export A=1"] {
            let error = Environment::parse(&format!("A=1\n{line}\n")).unwrap_err();
            assert_eq!(error, MalformedLine { number: 2, line: line.to_owned() });
        }
    }

    #[test]
    fn a_required_variable_that_is_missing_is_named() {
        let error = Environment::parse("A=1").unwrap().require("EMU_PID").unwrap_err();
        assert!(error.to_string().contains("EMU_PID is missing"), "{error}");
    }
}
