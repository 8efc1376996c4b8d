//! What someone may have meant by a name that does not exist.

/// Ends a message about an unknown name: the nearest of `known`, then all of them.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let list: Vec<_> = known.clone().into_iter().map(|known| format!("`{known}`")).collect();
    let list = if list.is_empty() { "there are none".to_owned() } else { format!("there are {}", list.join(", ")) };
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`? {list}"),
        None => list,
    }
}

/// The one of `known` that is most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let most = name.chars().count().div_ceil(3);
    let distances = known.into_iter().map(|known| (distance(&name, &known.to_lowercase()), known));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// How many characters are to be put in, taken out or changed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (to, above) in right.chars().zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(from != to);
            before = changed.min(before + 1).min(above + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1.12
    #[test]
    fn the_nearest_name_is_suggested() {
        for (name, nearest_name) in [
            ("provder", Some("provider")),
            ("Provider", Some("provider")),
            ("scope", Some("scopes")),
            ("link_type", Some("link_types")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, ["provider", "scopes", "link_types"]), nearest_name, "{name}");
        }
    }

    /// R1.12
    #[test]
    fn a_hint_lists_what_is_allowed() {
        assert_eq!(hint("scope", ["scopes", "urls"]), "did you mean `scopes`? there are `scopes`, `urls`");
        assert_eq!(hint("banana", ["scopes"]), "there are `scopes`");
        assert_eq!(hint("banana", []), "there are none");
    }
}
