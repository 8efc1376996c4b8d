//! `connectors new`: a connector crate that compiles, with a service in memory to test it against.

use std::path::{Path, PathBuf};

use connector_core::whole_file;
use serde_json::json;

use super::output::Output;
use super::{CliError, Done};

/// Where a file of the crate goes, and its text: a connector to the service Acme.
const FILES: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("new/template/Cargo.toml")),
    ("src/lib.rs", include_str!("new/template/lib.rs")),
    ("tests/service.rs", include_str!("new/template/service.rs")),
];

/// The dependency in the template, and its version: that of this program.
const DEPENDENCY: &str = "connector-core = \"*\"";

/// What the service is called, in the forms that a crate needs.
struct Names {
    /// `acme-mail`: the id of the connector.
    id: String,
    /// `AcmeMail`: its type.
    type_name: String,
}

impl Names {
    /// Errors: the name is none for a crate, with one that would do.
    fn of(name: &str) -> Result<Self, CliError> {
        let id = name.strip_prefix("connector-").unwrap_or(name);
        let words: Vec<_> = id.split('-').collect();
        let sound = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let begins = id.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        // `Self` is the one type that a crate cannot declare.
        if !begins || words.iter().any(|word| word.is_empty() || !sound(word)) || id == "self" {
            return Err(CliError::Usage(format!(
                "`{name}` is no name for a connector: give lowercase letters, digits and single hyphens, such as `{}`",
                suggestion(name)
            )));
        }
        let type_name = words.iter().map(|word| capitalized(word)).collect();
        Ok(Self { id: id.to_owned(), type_name })
    }

    fn crate_name(&self) -> String {
        format!("connector-{}", self.id)
    }

    fn snake_case(&self) -> String {
        self.id.replace('-', "_")
    }

    /// The text of a template with these names in it: in one pass, as a name may be a place to fill in itself.
    fn fill(&self, template: &str, dependency: &str) -> String {
        let snake = self.snake_case();
        let (krate, constant) = (format!("connector_{snake}"), snake.to_ascii_uppercase());
        let names = [
            (DEPENDENCY, dependency),
            ("connector_acme", &krate),
            ("ACME", &constant),
            ("Acme", &self.type_name),
            ("acme", &self.id),
        ];
        let (mut filled, mut rest) = (String::with_capacity(template.len()), template);
        let next =
            |rest: &str| names.iter().filter_map(|name| Some((rest.find(name.0)?, name))).min_by_key(|(at, _)| *at);
        while let Some((at, (place, name))) = next(rest) {
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            filled.push_str(name);
            rest = after.strip_prefix(place).unwrap_or_default();
        }
        filled.push_str(rest);
        filled
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// The nearest name that would do.
fn suggestion(name: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    for letter in name.chars() {
        let starts = letter.is_ascii_uppercase() && words.last().is_some_and(|word| word.ends_with(char::is_lowercase));
        if starts || !letter.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_ascii_alphanumeric()) {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    let id = words.join("-");
    let id = id.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    if id.is_empty() || id == "self" { "acme".to_owned() } else { id.to_owned() }
}

/// Makes the crate in a new folder below this one.
///
/// Errors: the name is not sound, the checkout is none, the folder is there already, or a file cannot be written.
pub(super) fn create(name: &str, checkout: Option<&Path>, output: Output) -> Done {
    let names = Names::of(name)?;
    let dependency = dependency(checkout)?;
    let folder = PathBuf::from(names.crate_name());
    if folder.exists() {
        return Err(CliError::Failed(format!(
            "`{}` is there already: remove it, or choose another name",
            folder.display()
        )));
    }
    write_crate(&folder, &names, &dependency)?;
    let made = json!({ "crate": names.crate_name(), "folder": folder, "type": names.type_name });
    output.print(&made, |_| {
        format!(
            "{0}: a connector that compiles, to a service that does not exist.\n\n  cd {0}\n  cargo test\n\n\
             Then put your service in its place, in src/lib.rs. To run it, name the crate in a host:\n\
             `use connector_{1} as _;` and `fn main() -> ExitCode {{ connector_host::cli::main() }}`.",
            names.crate_name(),
            names.snake_case(),
        )
    })
}

/// Writes the crate whole or not at all: into a temporary folder, which then gets its name.
fn write_crate(folder: &Path, names: &Names, dependency: &str) -> Result<(), CliError> {
    let temporary = PathBuf::from(format!(".{}.{}.tmp", folder.display(), std::process::id()));
    let written = FILES.iter().try_for_each(|(path, template)| {
        let (path, text) = (temporary.join(path), names.fill(template, dependency));
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        whole_file::replace(&path, text.as_bytes())
    });
    written.and_then(|()| std::fs::rename(&temporary, folder)).map_err(|error| {
        // The first error is the one to report.
        std::fs::remove_dir_all(&temporary).ok();
        CliError::Failed(format!("could not write `{}`: {error}", folder.display()))
    })
}

/// The line of the dependency: this version, or a checkout of the framework.
fn dependency(checkout: Option<&Path>) -> Result<String, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let Some(checkout) = checkout else { return Ok(format!("connector-core = \"{version}\"")) };
    let core = checkout.join("connector-core");
    if !core.join("Cargo.toml").is_file() {
        let checkout = checkout.display();
        return Err(CliError::Usage(format!("`{checkout}` is no checkout of the framework: it has no connector-core")));
    }
    let core = std::path::absolute(&core).map_err(CliError::failed)?;
    Ok(format!("connector-core = {{ path = {:?} }}", core.display().to_string()))
}
