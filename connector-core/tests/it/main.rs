//! Behaviour of the framework, through what authors and hosts use.
#![allow(missing_docs, reason = "tests")]

mod smoke;
