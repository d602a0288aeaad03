//! Media: what is a file at one platform becomes a file at another.
//!
//! Called by deliver while it plans. Everything here happens before the first intent, and nothing of it is seen by
//! anybody: what fails can be tried again from the start. It decides nothing about who may see what.

mod carry;

pub use carry::{Carrier, Later};
