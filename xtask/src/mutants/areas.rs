//! The code whose changes are tested, and the tests that are near it.

/// A part of the code.
#[derive(Debug)]
pub(crate) struct Area {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// Files, or folders with a slash at the end, from the root of the workspace.
    files: &'static [&'static str],
    /// The nearest tests, as nextest selects them. Those in the package of the changed file are the first to run.
    pub(crate) near: &'static str,
}

impl Area {
    pub(super) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|part| if part.ends_with('/') { file.starts_with(part) } else { file == *part })
    }

    /// What `cargo mutants` takes as globs.
    pub(super) fn globs(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(|part| if part.ends_with('/') { format!("{part}**/*.rs") } else { (*part).to_owned() })
    }
}

/// The areas. A file belongs to the first one that has it.
pub(super) const AREAS: &[Area] = &[
    Area {
        name: "queue",
        files: &[
            "connector-core/src/runtime/scheduler.rs",
            "connector-core/src/runtime/worker.rs",
            "connector-core/src/runtime/dispatching.rs",
            "connector-core/src/runtime/dispatching/",
        ],
        near: "test(/scheduler|worker|dispatch|tasks|drain|upgrades|work/)",
    },
    Area {
        name: "commit",
        files: &[
            "connector-core/src/runtime/mod.rs",
            "connector-core/src/runtime/claims.rs",
            "connector-core/src/unit_of_work.rs",
            "connector-host/src/engine/sqlite/apply.rs",
            "connector-host/src/engine/sqlite/writer.rs",
        ],
        near: "test(/^engine::|^unique::|dispatch|^state|^lifecycle/)",
    },
    Area {
        name: "records",
        files: &["connector-core/src/records.rs", "connector-core/src/records/"],
        near: "test(/records|threads|events|write_back|lessons/)",
    },
    Area {
        name: "policy",
        files: &["connector-core/src/runtime/policy.rs", "connector-core/src/runtime/budget.rs"],
        near: "test(/policy|budget|errors|tasks|dispatch|lifecycle/)",
    },
    Area { name: "quota", files: &["connector-core/src/network/rate.rs"], near: "test(/rate/)" },
    Area {
        name: "webhooks",
        files: &[
            "connector-core/src/webhook.rs",
            "connector-core/src/runtime/hooks.rs",
            "connector-core/src/runtime/subscriptions.rs",
            "connector-host/src/api/hooks.rs",
        ],
        near: "test(/hook|webhook|subscription|desk/)",
    },
    Area { name: "oauth", files: &["connector-host/src/oauth/"], near: "test(/^oauth::/)" },
    Area {
        name: "vault",
        files: &[
            "connector-core/src/credential.rs",
            "connector-core/src/runtime/actions/reseal.rs",
            "connector-host/src/vault.rs",
            "connector-host/src/rotation.rs",
            "connector-host/src/keys.rs",
            "connector-host/src/sessions.rs",
        ],
        near: "test(/^vault::|^seals::|^unique::|^oauth::vault|^access::|^api::/)",
    },
];
