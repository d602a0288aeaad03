//! JSON Schema (2020-12) of the wire formats, generated from the types.

use crate::{Dispatch, Envelope};
use schemars::schema_for;
use serde_json::Value;

/// The schema of envelope v1, as it stands in `docs/envelope.schema.json`.
pub fn envelope_schema() -> Value {
    schema_for!(Envelope).to_value()
}

/// The schema of dispatch v1, as it stands in `docs/dispatch.schema.json`.
pub fn dispatch_schema() -> Value {
    schema_for!(Dispatch).to_value()
}
