#![deny(unused_must_use)]

use connector_core::prelude::*;

fn send(key: &str) {
    WriteBack::delivered(key);
}

fn main() {
    let _ = send;
}
