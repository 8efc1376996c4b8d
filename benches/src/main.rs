//! Measures the framework against the same work done without it, in one run, and prints the ratio.
//!
//! `cargo run --release -p benches -- dispatch | tasks | atomic | links | idle | ingress | build | all`
//!
//! `queue enqueue_single|…` style figures for a table beside other queues: `cargo run --release -p benches -- peer`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that fails stops"
)]

mod atomic;
mod build;
mod connector;
mod dispatch;
mod idle;
mod ingress;
mod links;
mod rig;
mod tasks;

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    let rest: Vec<String> = args.collect();
    match what.as_str() {
        "dispatch" => dispatch::run(),
        "tasks" => tasks::run(),
        "peer" => tasks::peer(),
        "atomic" => atomic::run(),
        "links" => links::run(),
        "idle" => idle::run(),
        "ingress" => ingress::run(),
        "build" => build::run(),
        "all" => {
            dispatch::run();
            tasks::run();
            atomic::run();
            links::run();
            idle::run();
            ingress::run();
            build::run();
        }
        // Parts of the measurements that run in a process of their own.
        "links-server" => links::server(),
        "links-plain" => links::plain(&rest),
        "links-ours" => links::ours(&rest),
        "idle-open" => idle::open(&rest),
        other => {
            eprintln!(
                "`{other}` is no measurement: choose dispatch, tasks, atomic, links, idle, ingress, build, all or peer"
            );
            std::process::exit(2);
        }
    }
}
