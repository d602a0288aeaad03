//! The published schemas hold for what the bridges really make of their platforms' webhooks.

use super::samples::{bodies, envelopes};
use interline_envelope::{Address, Platform};
use serde_json::{Value, json};

/// A small validator: the keywords that our schemas use, and no others, so that none is passed over in silence.
struct Validator {
    root: Value,
}

impl Validator {
    fn read(name: &str) -> Self {
        let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("written by `cargo xtask schema`");
        Self { root: serde_json::from_str(&text).unwrap() }
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        self.at(&self.root, value, "")
    }

    fn at(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else {
            return if schema == &json!(true) { Ok(()) } else { Err(format!("{path}: forbidden")) };
        };
        for (keyword, says) in keywords {
            self.keyword(keyword, says, value, path)?;
        }
        Ok(())
    }

    fn keyword(
        &self,
        keyword: &str,
        says: &Value,
        value: &Value,
        path: &str,
    ) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{path}: {what} {says}, and this is {value}"));
        let passes = |schema: &Value| self.at(schema, value, path).is_ok();
        let all = || says.as_array().unwrap().iter();
        match keyword {
            "$ref" => {
                let to = says.as_str().unwrap().strip_prefix('#').unwrap();
                self.at(self.root.pointer(to).expect(to), value, path)?;
            }
            "type" => {
                let listed = std::slice::from_ref(says);
                let types = says.as_array().map_or(listed, Vec::as_slice);
                if !types.iter().any(|name| is(name.as_str().unwrap(), value)) {
                    return wrong("the type is");
                }
            }
            "const" if value != says => return wrong("it is always"),
            "enum" if !all().any(|one| one == value) => return wrong("it is one of"),
            "not" if passes(says) => return wrong("it is not"),
            "anyOf" if !all().any(&passes) => return wrong("none fits of"),
            "oneOf" if all().filter(|one| passes(one)).count() != 1 => {
                return wrong("not exactly one fits of");
            }
            "required" if all().any(|name| value.get(name.as_str().unwrap()).is_none()) => {
                return wrong("it has");
            }
            "properties" => {
                for (name, schema) in says.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        self.at(schema, field, &format!("{path}/{name}"))?;
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.at(says, item, &format!("{path}/{index}"))?;
                }
            }
            "minimum" if value.as_f64().unwrap() < says.as_f64().unwrap() => {
                return wrong("at least");
            }
            "maximum" if value.as_f64().unwrap() > says.as_f64().unwrap() => {
                return wrong("at most");
            }
            "pattern" if !matches_pattern(says.as_str().unwrap(), value.as_str().unwrap()) => {
                return wrong("it looks like");
            }
            "additionalProperties" => assert_eq!(says, &json!(true), "unknown fields are kept"),
            "const" | "enum" | "not" | "anyOf" | "oneOf" | "required" | "minimum" | "maximum"
            | "pattern" | "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
            unknown => panic!("{path}: this validator does not know `{unknown}`; teach it"),
        }
        Ok(())
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        unknown => panic!("`{unknown}` is no type of JSON Schema"),
    }
}

/// The patterns of our schemas, by the code that reads such texts.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[a-z0-9-]{1,32}$" => Platform::new(text).is_ok(),
        "^[0-9a-f]{32}$" => text.len() == 32 && is_lower_hex(text),
        "^[0-9a-f]{16}$" => text.len() == 16 && is_lower_hex(text),
        address if address.starts_with("^[a-z0-9-]{1,32}/") => Address::parse(text).is_ok(),
        unknown => panic!("this validator does not know the pattern `{unknown}`; teach it"),
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b"0123456789abcdef".contains(&b))
}

#[test]
fn every_envelope_that_the_bridges_make_is_as_the_published_schema_says() {
    let schema = Validator::read("envelope.schema.json");
    for (platform, kind, body) in bodies() {
        let made = envelopes(platform, &body);
        assert_eq!(made.len(), 1, "{platform}: {body}");
        for envelope in made {
            assert_eq!(envelope["kind"], kind, "{platform}: {body}");
            if let Err(wrong) = schema.check(&envelope) {
                panic!("{platform}: {wrong}\n{envelope}");
            }
        }
    }
}

#[test]
fn a_dispatch_is_as_the_published_schema_says() {
    let (platform, _, body) = bodies().remove(0);
    let envelope = envelopes(platform, &body).remove(0);
    let dispatch = json!({
        "v": 1, "id": "00".repeat(16), "lane": "01".repeat(8), "conversation": "c",
        "to": "instagram/17841400000000001/1700000000000001", "author": {"alias": "Alice"},
        "origin": {"account": "whatsapp/106540352242922/15550001111", "chat": "15550001111"},
        "hop": 1, "envelope": envelope,
    });
    let text = dispatch.to_string();
    let read = interline_envelope::Dispatch::from_json(text.as_bytes()).unwrap();
    let written: Value = serde_json::from_slice(&read.to_json().unwrap()).unwrap();
    let schema = Validator::read("dispatch.schema.json");
    schema.check(&written).unwrap();
    let mut nobody = written;
    nobody["to"] = json!("instagram");
    schema.check(&nobody).unwrap_err();
}

#[test]
fn what_is_no_envelope_is_refused_by_the_published_schema_and_a_later_part_is_not() {
    let schema = Validator::read("envelope.schema.json");
    let (platform, _, body) = bodies().remove(0);
    let good = envelopes(platform, &body).remove(0);
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    schema.check(&with("/parts", json!([{"type": "hologram", "depth": 3}]))).unwrap();
    for (pointer, value) in [
        ("/id", json!("xyz")),
        ("/kind", json!("gossip")),
        ("/platform", json!("Whats App")),
        ("/time", json!("now")),
        ("/parts", json!([{"type": "text"}])),
        ("/parts", json!([{"type": "media", "media": "hologram"}])),
        ("/from", json!({"name": "Alice"})),
    ] {
        schema.check(&with(pointer, value)).unwrap_err();
    }
}
