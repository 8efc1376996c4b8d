use super::TestStore;
use super::fixture::*;
use crate::engine::{DeliveryQuery, DeliveryRow, Write};
use crate::id::{ConnectionId, DeliveryId, TaskId};

fn put(row: &DeliveryRow, request: &str) -> Write {
    Write::PutDelivery { row: row.clone(), request: bytes(request) }
}

async fn listed(store: &TestStore, query: DeliveryQuery) -> Vec<DeliveryId> {
    store.read(|engine| engine.deliveries(query)).await.iter().map(|row| row.id).collect()
}

/// R10.3: what was received is kept as it was.
pub(super) async fn a_delivery_comes_back_equal(store: TestStore) {
    let connection = store.connection().await;
    let plain = delivery_row(connection, store.id(), None);
    let full = DeliveryRow {
        channel: Some("日本".into()),
        received_at: at_micro(999_999),
        task: TaskId::from_number(store.id()),
        size: 300_000,
        ..delivery_row(connection, store.id(), Some("k'\u{1}%"))
    };
    let large = "x".repeat(300_000);
    store.apply([put(&plain, ""), put(&full, &large)]).await;
    for (row, request) in [(&plain, ""), (&full, large.as_str())] {
        let id = row.id;
        assert_eq!(store.read(|engine| engine.delivery(id)).await, Some((row.clone(), bytes(request))));
    }
    let absent = DeliveryId::from_number(store.id());
    assert_eq!(store.read(|engine| engine.delivery(absent)).await, None);
}

/// R10.3: a delivery that comes again is dropped. Another connection has keys of its own, and those without one are all different.
pub(super) async fn a_connection_has_one_delivery_for_each_key(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let row = |connection: ConnectionId, key| delivery_row(connection, store.id(), key);
    let first = row(connection, Some("key"));
    store.apply([put(&first, "first")]).await;
    store.conflicts([put_state(connection, "state", "1"), put(&row(connection, Some("key")), "second")]).await;
    assert_eq!(store.value(connection, "state").await, None, "nothing of the set is stored");
    let taken = [row(other, Some("key")), row(connection, Some("Key")), row(connection, None), row(connection, None)];
    store.apply(taken.iter().map(|row| put(row, "other"))).await;
    let id = first.id;
    assert_eq!(store.read(|engine| engine.delivery(id)).await, Some((first, bytes("first"))));
    assert_eq!(listed(&store, DeliveryQuery::all(ALL)).await.len(), 5);
}

/// Another task may hand it over; when it is gone, its key is free.
pub(super) async fn a_delivery_is_redirected_and_deleted(store: TestStore) {
    let connection = store.connection().await;
    let row = delivery_row(connection, store.id(), Some("key"));
    let (id, task) = (row.id, TaskId::from_number(store.id()));
    store.apply([put(&row, "request"), Write::RedirectDelivery { id, task }]).await;
    let redirected = DeliveryRow { task, ..row.clone() };
    assert_eq!(store.read(|engine| engine.delivery(id)).await, Some((redirected, bytes("request"))));
    let absent = DeliveryId::from_number(store.id());
    store.apply([Write::DeleteDeliveries { ids: vec![id, absent] }, Write::RedirectDelivery { id, task }]).await;
    assert_eq!(store.read(|engine| engine.delivery(id)).await, None);
    store.apply([put(&DeliveryRow { id: absent, ..row }, "again")]).await;
}

/// Newest first, of a connection, of a time, in pages; and the oldest.
pub(super) async fn deliveries_are_listed_newest_first_and_paged(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut rows = Vec::new();
    for number in 0..12 {
        let of = if number % 3 == 0 { other } else { connection };
        rows.push(DeliveryRow { received_at: at(number / 2), ..delivery_row(of, store.id(), None) });
    }
    store.apply(rows.iter().map(|row| put(row, "request"))).await;
    let oldest = async |after: i64| {
        let after = DeliveryId::from_number(after);
        store.read(|engine| engine.oldest_deliveries(after, 5)).await
    };
    assert_eq!(oldest(0).await, rows[..5]);
    assert_eq!(oldest(rows[9].id.number()).await, rows[10..]);
    for of in [None, Some(connection), Some(other)] {
        for (since, until) in [(None, None), (Some(at(2)), None), (None, Some(at(4))), (Some(at(2)), Some(at(4)))] {
            let wanted: Vec<_> = rows
                .iter()
                .rev()
                .filter(|row| of.is_none_or(|of| row.connection == of))
                .filter(|row| since.is_none_or(|since| row.received_at >= since))
                .filter(|row| until.is_none_or(|until| row.received_at < until))
                .map(|row| row.id)
                .collect();
            for limit in [1, 5, ALL] {
                let mut found = Vec::new();
                loop {
                    let before = found.last().copied();
                    let page = listed(&store, DeliveryQuery { connection: of, since, until, before, limit }).await;
                    assert!(page.len() <= limit, "a page has at most its limit");
                    if page.is_empty() {
                        break;
                    }
                    found.extend(page);
                }
                assert_eq!(found, wanted, "of {of:?} from {since:?} to {until:?} in pages of {limit}");
            }
        }
    }
}

/// Design 6.2: requests of a whole app go to the connections of the tenant that they name, as they are now.
pub(super) async fn connections_are_found_by_tenant(store: TestStore) {
    let mut rows = Vec::new();
    for (connector, tenant) in [("slack", Some("T1")), ("slack", Some("T2")), ("slack", None), ("github", Some("T1"))] {
        let mut row = connection_row(store.id());
        row.connector = connector.into();
        row.account.tenant = tenant.map(str::to_owned);
        rows.push(row);
    }
    rows.push({
        let mut row = connection_row(store.id());
        row.connector = "slack".into();
        row.account.tenant = Some("T1".to_owned());
        row
    });
    store.apply(rows.iter().map(|row| Write::PutConnection { row: Box::new(row.clone()), expect: None })).await;
    let found = async |tenant: &str| -> Vec<ConnectionId> {
        let tenant = tenant.to_owned();
        store
            .read(|engine| engine.connections_of_tenant("slack".into(), tenant))
            .await
            .iter()
            .map(|row| row.id)
            .collect()
    };
    assert_eq!(found("T1").await, [rows[0].id, rows[4].id]);
    assert_eq!(found("t1").await, []);
    rows[0].account.tenant = Some("T2".to_owned());
    store.apply([Write::PutConnection { row: Box::new(rows[0].clone()), expect: Some(1) }]).await;
    store.apply([Write::DeleteConnection { id: rows[4].id }]).await;
    assert_eq!((found("T1").await, found("T2").await), (vec![], vec![rows[0].id, rows[1].id]));
}
