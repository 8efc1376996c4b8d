//! Turns a name in one case into another, and checks the case of ids.

/// `PullRequest` and `pull_request` to `pull-request`.
pub(crate) fn kebab(name: &str) -> String {
    lower_words(name).join("-")
}

/// `PullRequest` to `pull_request`.
pub(crate) fn snake(name: &str) -> String {
    lower_words(name).join("_")
}

/// `pull_request` to `PullRequest`.
pub(crate) fn camel(name: &str) -> String {
    split(name).iter().map(|word| capitalized(word)).collect()
}

/// `PullRequest` and `pull_requests` to words with one capital: `Pull request`.
pub(crate) fn sentence(name: &str) -> String {
    let words: Vec<_> = split(name)
        .iter()
        .enumerate()
        .map(|(index, word)| match index {
            _ if is_acronym(word) => word.clone(),
            0 => capitalized(&word.to_lowercase()),
            _ => word.to_lowercase(),
        })
        .collect();
    words.join(" ")
}

/// `PullRequest` to words with capitals: `Pull Request`.
pub(crate) fn title(name: &str) -> String {
    let words: Vec<_> = split(name).iter().map(|word| capitalized(word)).collect();
    words.join(" ")
}

/// Lower-case letters and digits in words joined by single `separator`s, a letter first.
pub(crate) fn is_joined(id: &str, separator: char) -> bool {
    id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.split(separator).all(|word| {
            !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        })
}

fn lower_words(name: &str) -> Vec<String> {
    split(name).iter().map(|word| word.to_lowercase()).collect()
}

fn is_acronym(word: &str) -> bool {
    word.chars().count() > 1 && !word.chars().any(char::is_lowercase)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The words of a name: they begin at `_`, at `-`, at a capital after a small letter or digit, and
/// at the last capital of a run before a small letter (`HTTPServer`).
fn split(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.strip_prefix("r#").unwrap_or(name).chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    for (index, letter) in letters.iter().copied().enumerate() {
        let after = letters.get(index + 1).copied();
        let begins = letter.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit())
                || (before.is_some_and(char::is_uppercase) && after.is_some_and(char::is_lowercase)));
        if begins || matches!(letter, '_' | '-') {
            words.push(std::mem::take(&mut word));
        }
        if !matches!(letter, '_' | '-') {
            word.push(letter);
        }
        before = Some(letter);
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1.1
    #[test]
    fn names_change_their_case() {
        for (name, kebab_case, snake_case, camel_case, as_sentence, as_title) in [
            ("GitHub", "git-hub", "git_hub", "GitHub", "Git hub", "Git Hub"),
            ("PullRequest", "pull-request", "pull_request", "PullRequest", "Pull request", "Pull Request"),
            ("sync_page", "sync-page", "sync_page", "SyncPage", "Sync page", "Sync Page"),
            ("HTTPServer", "http-server", "http_server", "HTTPServer", "HTTP server", "HTTP Server"),
            ("V2Notes", "v2-notes", "v2_notes", "V2Notes", "V2 notes", "V2 Notes"),
            ("r#type", "type", "type", "Type", "Type", "Type"),
            ("_x__y_", "x-y", "x_y", "XY", "X y", "X Y"),
        ] {
            assert_eq!(kebab(name), kebab_case);
            assert_eq!(snake(name), snake_case);
            assert_eq!(camel(name), camel_case);
            assert_eq!(sentence(name), as_sentence);
            assert_eq!(title(name), as_title);
        }
    }

    /// R1.12
    #[test]
    fn ids_have_one_form() {
        for (id, good) in [
            ("github", true),
            ("a-b2", true),
            ("", false),
            ("A", false),
            ("a--b", false),
            ("-a", false),
            ("a-", false),
            ("2a", false),
            ("a_b", false),
            ("ä", false),
        ] {
            assert_eq!(is_joined(id, '-'), good, "{id}");
        }
    }
}
