//! Google Tasks.

use connector_core::id::StatusId;
use connector_core::runtime::LinkUpdate;
use serde_json::json;

use crate::model::Shared;
use crate::rig::{Rig, ada};

/// R8.2, R9.1: tasks arrive, and are done at Google when they are done here; only what was changed is sent.
#[tokio::test]
async fn tasks_are_done_at_both_ends() {
    let google = Shared::default();
    google.with(|google| {
        google.tasks.tasks = vec![json!({ "id": "t1", "title": "Cook", "status": "needsAction",
            "due": "2026-01-09T00:00:00.000Z", "updated": "2025-12-01T00:00:00Z", "notes": "soon" })];
    });
    let rig = Rig::new(&google, &["tasks:home"]).await;
    let row = rig.link("Cook").await;
    assert_eq!(row.link.raw_meta["due"], json!("2026-01-09"));
    assert_eq!(rig.notes(&row).await[0].note.content, "soon");
    let done = LinkUpdate { status: Some(StatusId::from_static("done")), ..LinkUpdate::default() };
    rig.host.runtime().update_link(row.link.id, &ada(), done).await.expect("it is stored");
    rig.host.settle().await;
    let change = google.with(|google| google.changes.pop()).expect("it was sent");
    let path = "tasks/v1/lists/home/tasks/t1".to_owned();
    assert_eq!(change, ("PATCH".to_owned(), path, json!({ "status": "completed" })));
    google.with(|google| google.tasks.tasks[0]["deleted"] = json!(true));
    rig.sync().await;
    assert!(rig.link("Cook").await.link.archived);
}
