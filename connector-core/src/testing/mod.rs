//! What tests of connectors, hosts and engines stand on: a store in memory, a clock that a test
//! moves, and the rules that every engine keeps.

mod clock;
pub mod conformance;
pub mod engine_conformance;
mod host;
mod memory;
mod recording;

pub use clock::VirtualClock;
pub use engine_conformance::{TestStore, engine_conformance};
pub use host::{FakeService, TestHost};
pub use memory::{Fault, MemoryEngine};
pub use recording::{Recorder, Recording, RecordingError};
