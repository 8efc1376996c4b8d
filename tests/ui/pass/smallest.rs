//! A connector in which everything has its default.

use connector_core::prelude::*;

/// The smallest connector.
#[connector]
#[derive(Default)]
pub struct Smallest;

#[connector]
impl Connector for Smallest {}
