//! The connectors of a program: a value, in order, checked (R1.13).

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::component::Declared;
use crate::connector::Connector;
use crate::declaration::{Declaration, Hooks};
use crate::dispatch::{CallbackBlock, CallbackEntry, HooksOf, Registration};
use crate::network::UrlPattern;
use crate::tool::ToolDeclaration;
use crate::webhook::WebhookDeclaration;
use crate::work::Work;

/// All connectors that a host runs, sorted by id.
#[derive(Clone, Default)]
pub struct Registry {
    connectors: BTreeMap<&'static str, Arc<RegisteredConnector>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.connectors.keys()).finish()
    }
}

/// One connector with its callbacks, and those of its tools.
pub struct RegisteredConnector {
    /// What it declares.
    pub declaration: &'static Declaration,
    /// Which hooks it has.
    pub hooks: Hooks,
    /// All tools that it uses, depth-first: a tool stands after those that it uses itself.
    pub(crate) tools: Vec<&'static ToolDeclaration>,
    pub(crate) registration: Registration,
    /// By namespace and name, sorted: there are few, and each dispatch looks one up.
    callbacks: Vec<((&'static str, &'static str), FoundCallback)>,
    /// Callbacks in order: namespace, then name.
    ordered: Vec<(&'static str, &'static CallbackEntry)>,
    /// Declared work in the same order.
    work: Vec<DeclaredWork>,
}

/// A piece of declared work of a connector, or of a tool that it uses.
#[derive(Clone)]
pub(crate) struct DeclaredWork {
    /// What it is called among all work of the connector: the name of its callback, and for a tool's the tool before
    /// that: `contacts.people`.
    pub(crate) name: String,
    pub(crate) work: Work,
    /// The tool that it belongs to; empty for the connector's own.
    pub(crate) namespace: &'static str,
    pub(crate) entry: &'static CallbackEntry,
}

impl DeclaredWork {
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.work, Work::Sync { .. })
    }

    fn is_named(&self, name: &str) -> bool {
        let mut former = self.entry.aliases.iter().map(|alias| work_name(self.namespace, alias));
        self.name == name || former.any(|former| former == name)
    }
}

/// What a piece of declared work is called among all work of a connector.
fn work_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// Where a callback is.
#[derive(Clone, Copy)]
pub(crate) struct FoundCallback {
    pub(crate) block: CallbackBlock,
    pub(crate) entry: &'static CallbackEntry,
    pub(crate) index: usize,
}

impl fmt::Debug for RegisteredConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredConnector").field("id", &self.declaration.id).finish_non_exhaustive()
    }
}

impl RegisteredConnector {
    /// Its callbacks, with the id of the tool that each belongs to (empty for its own), in order.
    pub fn callbacks(&self) -> impl Iterator<Item = (&'static str, &'static CallbackEntry)> + '_ {
        self.ordered.iter().copied()
    }

    /// All tools that it uses.
    pub fn tools(&self) -> impl Iterator<Item = &'static ToolDeclaration> + '_ {
        self.tools.iter().copied()
    }

    /// A callback by its name, or one of its former names.
    pub(crate) fn callback(&self, namespace: &str, name: &str) -> Option<FoundCallback> {
        let place = self
            .callbacks
            .binary_search_by(|((space, known), _)| {
                known.cmp(&name).then_with(|| {
                    // Comparing the bytes of an empty string takes longer than all the rest: its address is none,
                    // and the masked load that some C libraries do of it is a fault that the processor suppresses.
                    if space.is_empty() || namespace.is_empty() {
                        space.len().cmp(&namespace.len())
                    } else {
                        (*space).cmp(namespace)
                    }
                })
            })
            .ok()?;
        self.callbacks.get(place).map(|(_, found)| *found)
    }

    /// The URL patterns of the connector and all of its tools.
    pub fn urls(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.declaration.urls.iter().chain(self.tools.iter().flat_map(|tool| tool.urls)).copied()
    }

    /// The scopes that the connector and all of its tools need, each once.
    pub fn scopes(&self) -> Vec<&'static str> {
        let mut scopes = Vec::new();
        for scope in self.declaration.scopes.required.iter().chain(self.tools.iter().flat_map(|tool| tool.scopes)) {
            if !scopes.contains(scope) {
                scopes.push(*scope);
            }
        }
        scopes
    }

    /// Its webhook of the whole app.
    pub(crate) fn app_webhook(&self) -> Option<(&DeclaredWork, WebhookDeclaration)> {
        self.work.iter().find_map(|work| match work.work {
            Work::Webhook(declared) if declared.tenant.is_some() => Some((work, declared)),
            _ => None,
        })
    }

    /// The declared work of the connector and of its tools.
    pub(crate) fn work(&self) -> &[DeclaredWork] {
        &self.work
    }

    /// The declared work of this name, or with this as a former name.
    pub(crate) fn work_named(&self, name: &str) -> Option<&DeclaredWork> {
        self.work.iter().find(|work| work.is_named(name))
    }

    /// The declared work of a callback.
    pub(crate) fn work_of(&self, namespace: &str, callback: &str) -> Option<&DeclaredWork> {
        self.work.iter().find(|work| work.namespace == namespace && work.is_named(&work_name(namespace, callback)))
    }
}

/// Everything that is wrong with the connectors of a program; each with its places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct RegistryErrors(pub Vec<String>);

impl Registry {
    /// All connectors that are linked into the program. A connector crate that no source names is not
    /// linked: `use connector_github as _;` names it.
    pub fn collect() -> Result<Self, RegistryErrors> {
        Self::build(inventory::iter::<Registration>.into_iter().copied())
    }

    /// This connector alone, for tests.
    #[track_caller]
    pub fn of<C: Connector + HooksOf + Declared>() -> Result<Self, RegistryErrors> {
        Self::build([Registration::new::<C>()])
    }

    fn build(registrations: impl IntoIterator<Item = Registration>) -> Result<Self, RegistryErrors> {
        let mut errors = Vec::new();
        let mut connectors: BTreeMap<&'static str, Arc<RegisteredConnector>> = BTreeMap::new();
        let mut registrations: Vec<_> = registrations.into_iter().collect();
        // The order of linking differs between builds; the order of places does not.
        registrations.sort_by_key(|registration| (registration.declaration.id, registration.location.to_string()));
        for registration in registrations {
            let declaration = registration.declaration;
            let mut tools = Vec::new();
            for tool in declaration.tools {
                collect_tools(tool(), &mut tools, &mut Vec::new(), &mut errors);
            }
            let connector = RegisteredConnector::new(registration, tools, &mut errors);
            for pattern in connector.urls() {
                if let Err(error) = pattern.parse::<UrlPattern>() {
                    errors.push(format!("`{}` declares the URL `{pattern}`: {error}", declaration.id));
                }
            }
            if let Some(first) = connectors.get(declaration.id) {
                errors.push(format!(
                    "two connectors have the id `{}`: one at {}, one at {}; give one of them another `id`",
                    declaration.id, first.registration.location, registration.location
                ));
            } else {
                connectors.insert(declaration.id, Arc::new(connector));
            }
        }
        if errors.is_empty() { Ok(Self { connectors }) } else { Err(RegistryErrors(errors)) }
    }

    /// Both registries together.
    pub fn merge(mut self, other: Self) -> Result<Self, RegistryErrors> {
        for (id, connector) in other.connectors {
            if let Some(first) = self.connectors.insert(id, Arc::clone(&connector)) {
                return Err(RegistryErrors(vec![format!(
                    "two connectors have the id `{id}`: one at {}, one at {}",
                    first.registration.location, connector.registration.location
                )]));
            }
        }
        Ok(self)
    }

    /// The connector with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<RegisteredConnector>> {
        self.connectors.get(id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RegisteredConnector>> {
        self.connectors.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.connectors.len()
    }

    /// There are none: no connector crate is linked.
    pub fn is_empty(&self) -> bool {
        self.connectors.is_empty()
    }
}

impl RegisteredConnector {
    fn new(registration: Registration, tools: Vec<&'static ToolDeclaration>, errors: &mut Vec<String>) -> Self {
        let declaration = registration.declaration;
        let mut namespaces: HashMap<TypeId, &'static str> =
            tools.iter().map(|tool| ((tool.hooks.component)(), tool.id)).collect();
        namespaces.insert((registration.component)(), "");
        let mut blocks: Vec<_> = inventory::iter::<CallbackBlock>
            .into_iter()
            .filter_map(|block| Some((*namespaces.get(&(block.component)())?, *block)))
            .collect();
        blocks.sort_by_key(|(namespace, block)| (*namespace, block.location.file(), block.location.line()));
        let mut callbacks: HashMap<_, FoundCallback> = HashMap::new();
        let mut ordered = Vec::new();
        for (namespace, block) in blocks {
            for (index, entry) in block.entries.iter().enumerate() {
                if let Some(product) = entry.product
                    && !declaration.products.iter().any(|declared| declared.key == product)
                {
                    let known: Vec<_> = declaration.products.iter().map(|declared| declared.key).collect();
                    errors.push(format!(
                        "`{}` of `{}` at {} is for the product `{product}`, which is not declared: there are {}",
                        entry.name,
                        declaration.id,
                        block.location,
                        if known.is_empty() { "none".to_owned() } else { known.join(", ") },
                    ));
                }
                ordered.push((namespace, entry));
                for name in std::iter::once(&entry.name).chain(entry.aliases) {
                    if let Some(first) = callbacks.insert((namespace, *name), FoundCallback { block, entry, index }) {
                        errors.push(format!(
                            "`{}` has two callbacks with the name `{name}`: one in {} at {}, one in {} at {}; rename one with `name = \"…\"`",
                            declaration.id,
                            (first.block.component_name)(),
                            first.block.location,
                            (block.component_name)(),
                            block.location,
                        ));
                    }
                }
            }
        }
        ordered.sort_by_key(|(namespace, entry)| (*namespace, entry.name));
        let work = ordered.iter().filter_map(|(namespace, entry)| {
            Some(DeclaredWork { name: work_name(namespace, entry.name), work: entry.work?, namespace, entry })
        });
        let work: Vec<_> = work.collect();
        for (index, twin) in work.iter().enumerate() {
            if work.iter().take(index).any(|first| first.name == twin.name) {
                errors.push(format!(
                    "`{}` has two pieces of work with the name `{}`: rename one with `name = \"…\"`",
                    declaration.id, twin.name
                ));
            }
        }
        let of_app =
            work.iter().filter(|work| matches!(work.work, Work::Webhook(declared) if declared.tenant.is_some()));
        let of_app: Vec<_> = of_app.map(|work| work.name.as_str()).collect();
        if of_app.len() > 1 {
            errors.push(format!(
                "`{}` has {} webhooks of the whole app, which has one URL: {}",
                declaration.id,
                of_app.len(),
                of_app.join(", ")
            ));
        }
        let mut callbacks: Vec<_> = callbacks.into_iter().collect();
        callbacks.sort_by_key(|((namespace, name), _)| (*name, *namespace));
        Self { declaration, hooks: registration.hooks, tools, registration, callbacks, ordered, work }
    }
}

fn collect_tools(
    tool: &'static ToolDeclaration,
    found: &mut Vec<&'static ToolDeclaration>,
    path: &mut Vec<&'static str>,
    errors: &mut Vec<String>,
) {
    if path.contains(&tool.id) {
        errors.push(format!("the tool `{}` uses itself: {} → {}", tool.id, path.join(" → "), tool.id));
        return;
    }
    path.push(tool.id);
    for inner in tool.tools {
        collect_tools(inner(), found, path, errors);
    }
    path.pop();
    match found.iter().find(|other| other.id == tool.id) {
        None => found.push(tool),
        Some(other) if (other.hooks.component)() != (tool.hooks.component)() => {
            errors.push(format!("two tools have the id `{}`: give one of them another `id`", tool.id));
        }
        Some(_) => {}
    }
}
