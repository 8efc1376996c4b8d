//! (a) A bound callback that is decoded, dispatched and gives back a typed result, against a direct
//! call with the same decoding.

use std::time::Instant;

use connector_core::callback::{BoundTarget, Invocable, InvocationTarget};
use connector_core::prelude::*;

use crate::connector::{Compare, Item, Load, Measure};
use crate::rig;

/// The stored form of a callback: a name and encoded arguments.
struct Stored(Vec<u8>);

impl Invocable<Load> for &Stored {
    type Output = u64;

    fn into_target(self) -> Result<InvocationTarget> {
        Ok(InvocationTarget::Bound(BoundTarget { namespace: "", name: "measure", args: self.0.clone(), channel: None }))
    }
}

/// Runs both, in turn, and prints the ratio.
pub(crate) async fn compare(load: &Load, cx: &Context<Load>, rounds: u32) -> Result<()> {
    let items = vec![Item { id: 7, title: "A title".to_owned(), labels: vec!["bug".to_owned()] }; 2];
    let stored = Stored(Measure { items, page: 3 }.encode()?);
    let mut ratios = Vec::new();
    let (mut direct_ns, mut bound_ns) = (0.0, 0.0);
    for _ in 0..9 {
        let start = Instant::now();
        for _ in 0..rounds {
            let args = stored.0.clone();
            let message = Measure::decode(std::hint::black_box(&args))?;
            std::hint::black_box(load.measure(cx, message.items, message.page).await?);
        }
        let direct = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(cx.run(std::hint::black_box(&stored), ()).await?);
        }
        let bound = start.elapsed().as_secs_f64();
        (direct_ns, bound_ns) = (direct * 1e9 / f64::from(rounds), bound * 1e9 / f64::from(rounds));
        ratios.push(bound / direct);
    }
    let ratio = rig::median(ratios);
    println!("direct call {direct_ns:.0} ns, bound callback {bound_ns:.0} ns");
    rig::verdict("(a) dispatch / direct call", ratio, "<= 1.5", ratio <= 1.5);
    Ok(())
}

/// The measurement.
pub(crate) fn run() {
    let folder = rig::folder("dispatch");
    rig::runtime().block_on(async {
        let (runtime, engine) = rig::host(&folder.join("bench.db"), 1);
        let connection = rig::connections(&runtime, 1, "").await[0];
        runtime.queue(connection, Compare { rounds: 20_000 }).await.unwrap();
        let workers = runtime.start().await.unwrap();
        rig::drained(&runtime).await;
        workers.stop(&runtime).await;
        rig::close(&engine).await;
    });
}
