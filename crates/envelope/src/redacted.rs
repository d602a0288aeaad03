//! A value that must not reach a log: content, names, and ids of people.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A person's id, name or words. Reading it takes a visible [`Redacted::expose`].
///
/// There is no `Display`, and `Debug` prints `<redacted>`: a stray `{:?}` in a log line shows nothing (G8).
/// It serialises as the bare value, since envelopes must carry it.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the code that sends or stores it. Never for a log line.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> std::fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for Redacted<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl Redacted<String> {
    /// The text itself as a slice, for the code that sends or stores it.
    pub fn as_exposed_str(&self) -> &str {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for Redacted<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// `Debug` for types whose fields, known or not, may belong to a person: it shows the type's name alone.
macro_rules! opaque_debug {
    ($($name:ident),+ $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }
    )+};
}
pub(crate) use opaque_debug;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        let name: Redacted<String> = Redacted::from("Alice +15550001111");
        assert_eq!(format!("{name:?}"), "<redacted>");
        assert_eq!(format!("{:?}", Some(&name)), "Some(<redacted>)");
    }

    #[test]
    fn the_json_form_is_the_bare_value() {
        assert_eq!(serde_json::to_string(&Redacted::<String>::from("x")).unwrap(), "\"x\"");
    }
}
