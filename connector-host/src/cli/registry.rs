//! `list`, `show` and `manifest`: what is linked into the program.

use std::path::Path;

use connector_core::manifest::Manifest;
use connector_core::registry::Registry;
use serde_json::{Value, json};

use super::output::{self, Output, at, each, field, table};
use super::{CliError, Done};
use crate::api::summary;

pub(super) fn list(registry: &Registry, output: Output) -> Done {
    let connectors: Vec<_> = registry.iter().map(|connector| json!(summary(connector))).collect();
    let nothing = connectors.is_empty();
    output.print(&json!(connectors), |_| {
        if nothing {
            return "No connector is linked into this program: name its crate with `use connector_github as _;`"
                .to_owned();
        }
        let rows = connectors.iter().map(|connector| {
            let kinds = each(connector, "/link_types").map(|kind| field(kind, "/id"));
            let authorized = match (at(connector, "/provider").as_str(), at(connector, "/key_option").as_str()) {
                (Some(provider), _) => provider.to_owned(),
                (None, Some(_)) => "key".to_owned(),
                (None, None) => "none".to_owned(),
            };
            vec![
                field(connector, "/id"),
                field(connector, "/name"),
                authorized,
                kinds.collect::<Vec<_>>().join(", "),
                first_line(at(connector, "/description")),
            ]
        });
        table(&["ID", "NAME", "AUTHORIZED BY", "LINK TYPES", "DESCRIPTION"], &rows.collect::<Vec<_>>())
    })
}

fn first_line(text: &Value) -> String {
    text.as_str().and_then(|text| text.lines().next()).unwrap_or_default().to_owned()
}

pub(super) fn show(registry: &Registry, id: &str, output: Output) -> Done {
    let connector = registry.get(id).ok_or_else(|| {
        let known: Vec<_> = registry.iter().map(|connector| connector.declaration.id).collect();
        CliError::Failed(format!("there is no connector `{id}`: there are {}", known.join(", ")))
    })?;
    let manifest = connector.manifest();
    output.print(&json!(manifest), |_| {
        let declaration = connector.declaration;
        let mut shown = format!("{} ({})\n", declaration.name, declaration.id);
        if !declaration.description.is_empty() {
            shown.push_str(&format!("{}\n", declaration.description));
        }
        let mut line = |heading: &str, text: String| {
            if !text.is_empty() {
                shown.push_str(&format!("\n{heading}: {text}"));
            }
        };
        line("Authorized by", declaration.provider.map_or(String::new(), |provider| provider.id().to_owned()));
        line("Key", declaration.key_option.unwrap_or_default().to_owned());
        line("Scopes", connector.scopes().join(", "));
        for group in declaration.scopes.optional {
            line("Optional scopes", format!("{} ({}): {}", group.label, group.id, group.scopes.join(", ")));
        }
        line("Reaches", connector.urls().collect::<Vec<_>>().join(", "));
        for link_type in declaration.link_types {
            let statuses: Vec<_> = link_type.statuses.iter().map(|status| status.id).collect();
            line("Link type", format!("{} ({}): {}", link_type.label, link_type.id, statuses.join(", ")));
        }
        for option in declaration.options.fields {
            let required = if option.required() { ", required" } else { "" };
            line("Option", format!("{}{required}: {}", option.name, option.label));
        }
        for (name, callback) in &manifest.callbacks {
            let description = callback.description.lines().next().unwrap_or_default();
            line("Callback", format!("{name}: {description}"));
        }
        line("Hooks", manifest.hooks.join(", "));
        shown.push('\n');
        shown
    })
}

/// Prints the manifest, or a line for each thing that would break since an older one.
pub(super) fn manifest(registry: &Registry, check: Option<&Path>) -> Done {
    let manifest = registry.manifest();
    let Some(path) = check else {
        return output::json(&json!(manifest));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Failed(format!("{} cannot be read: {error}", path.display())))?;
    let old: Manifest = serde_json::from_str(&text)
        .map_err(|error| CliError::Failed(format!("{} is not a manifest: {error}", path.display())))?;
    let breaks = manifest.breaks_since(&old);
    if breaks.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = breaks.iter().map(ToString::to_string).collect();
    output::text(&lines.join("\n"))?;
    let count = if breaks.len() == 1 { "1 thing breaks".to_owned() } else { format!("{} things break", breaks.len()) };
    Err(CliError::Failed(format!("{count} since {}", path.display())))
}
