//! Content: an envelope's parts, in order.

use crate::redacted::opaque_debug;
use crate::{Redacted, Unknown};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// One piece of content, told apart by `type`.
#[derive(Clone, PartialEq)]
pub enum Part {
    /// Words.
    Text {
        /// The text as the person wrote it, with the platform's own formatting marks.
        text: Redacted<String>,
        /// Fields that this version does not know.
        unknown: Unknown,
    },
    /// A picture, film, sound, file or sticker.
    Media(Media),
    /// A place.
    Location(Location),
    /// Contact cards.
    Contacts {
        /// One entry a card.
        contacts: Vec<ContactCard>,
        /// Fields that this version does not know.
        unknown: Unknown,
    },
    /// A tap on a button, list row, quick reply or postback, or the answer of a flow.
    Choice(Choice),
    /// A shared post, reel, story mention, link or template.
    Share(Share),
    /// A shopping cart.
    Order(Order),
    /// Ciphertext that this daemon cannot read.
    Sealed {
        /// How it was sealed.
        scheme: String,
        /// base64url.
        bytes: String,
        /// Fields that this version does not know.
        unknown: Unknown,
    },
    /// Something that the platform did not hand over, or that this version cannot read.
    Unsupported {
        /// The platform's word for it.
        native_type: String,
        /// Why it cannot be read, in words.
        reason: String,
        /// Fields that this version does not know.
        unknown: Unknown,
    },
    /// A part of a later version, kept as it came.
    Other(Map<String, Value>),
}

/// The kinds of media.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// A still or animated picture.
    Image,
    /// A film.
    Video,
    /// A sound file.
    Audio,
    /// A voice note.
    Voice,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

/// `media`: where the bytes are and what they are said to be.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Media {
    /// What it is.
    pub media: MediaKind,
    /// The platform's media or attachment id, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Redacted<String>>,
    /// Where the platform offers the bytes, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Redacted<String>>,
    /// The MIME type that the platform claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// SHA-256 of the bytes in lower-case hex, whatever form the platform used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<Redacted<String>>,
    /// Words under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Redacted<String>>,
    /// True if it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub animated: Option<bool>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Media {
    /// A medium of which nothing is known yet but its kind.
    pub fn new(media: MediaKind) -> Self {
        Self {
            media,
            id: None,
            url: None,
            mime: None,
            sha256: None,
            bytes: None,
            filename: None,
            caption: None,
            animated: None,
            unknown: Unknown::new(),
        }
    }
}

/// `location`: degrees, WGS 84.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Redacted<String>>,
    /// Its postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Redacted<String>>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Redacted<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// One contact card.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContactCard {
    /// The formatted name.
    #[serde(default)]
    pub name: Redacted<String>,
    /// Telephone numbers as written on the card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<Redacted<String>>,
    /// Mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<Redacted<String>>,
    /// The rest of the card in the platform's own fields (`addresses`, `org`, `urls`, `birthday`, …).
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What was tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceOf {
    /// A reply button.
    Button,
    /// A row of a list.
    List,
    /// A quick reply.
    QuickReply,
    /// A postback (menu, ice breaker, Get Started).
    Postback,
    /// A form's answer.
    Flow,
}

/// `choice`: a tap.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The developer's id or payload behind the tapped thing.
    #[serde(default)]
    pub id: Redacted<String>,
    /// What the person saw on it.
    #[serde(default)]
    pub title: Redacted<String>,
    /// The second line of a list row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Redacted<String>>,
    /// What kind of thing it was.
    pub of: ChoiceOf,
    /// A form's answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Redacted<Value>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What was shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareOf {
    /// The account was mentioned in a story. Its media must not be stored.
    StoryMention,
    /// A reel.
    Reel,
    /// A post.
    Post,
    /// A link.
    Link,
    /// A template or product.
    Template,
}

/// `share`: something that lives elsewhere.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// What it is.
    pub of: ShareOf,
    /// Its id, exact digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Redacted<String>>,
    /// Where it is, as the platform wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Redacted<String>>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Redacted<String>>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Redacted<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `order`: a cart.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The catalogue's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// Words that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Redacted<String>>,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<OrderItem>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// One line of a cart.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderItem {
    /// The shop's id of the product.
    #[serde(default)]
    pub product_id: Redacted<String>,
    /// The product's name, if it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Redacted<String>>,
    /// How many, as the platform wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Price of one, as the platform wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

opaque_debug!(Media, Location, ContactCard, Choice, Share, Order, OrderItem);

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({})", self.type_name())
    }
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: Redacted::new(text.into()), unknown: Unknown::new() }
    }

    /// An `unsupported` part.
    pub fn unsupported(native_type: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported {
            native_type: native_type.into(),
            reason: reason.into(),
            unknown: Unknown::new(),
        }
    }

    /// The value of `type`.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Text { .. } => "text",
            Self::Media(_) => "media",
            Self::Location(_) => "location",
            Self::Contacts { .. } => "contacts",
            Self::Choice(_) => "choice",
            Self::Share(_) => "share",
            Self::Order(_) => "order",
            Self::Sealed { .. } => "sealed",
            Self::Unsupported { .. } => "unsupported",
            Self::Other(fields) => fields.get("type").and_then(Value::as_str).unwrap_or("unknown"),
        }
    }
}

/// The wire form of the parts that this version knows; [`Part::Other`] is what remains.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schemars(rename = "Part")]
pub(crate) enum WirePart {
    Text {
        text: Redacted<String>,
        #[serde(flatten)]
        unknown: Unknown,
    },
    Media(Media),
    Location(Location),
    Contacts {
        contacts: Vec<ContactCard>,
        #[serde(flatten)]
        unknown: Unknown,
    },
    Choice(Choice),
    Share(Share),
    Order(Order),
    Sealed {
        scheme: String,
        bytes: String,
        #[serde(flatten)]
        unknown: Unknown,
    },
    Unsupported {
        native_type: String,
        reason: String,
        #[serde(flatten)]
        unknown: Unknown,
    },
}

const KNOWN_TYPES: [&str; 9] =
    ["text", "media", "location", "contacts", "choice", "share", "order", "sealed", "unsupported"];

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Borrowing mirrors of `WirePart`, so that encoding copies nothing.
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "lowercase")]
        enum Borrowed<'a> {
            Text {
                text: &'a Redacted<String>,
                #[serde(flatten)]
                unknown: &'a Unknown,
            },
            Media(&'a Media),
            Location(&'a Location),
            Contacts {
                contacts: &'a [ContactCard],
                #[serde(flatten)]
                unknown: &'a Unknown,
            },
            Choice(&'a Choice),
            Share(&'a Share),
            Order(&'a Order),
            Sealed {
                scheme: &'a str,
                bytes: &'a str,
                #[serde(flatten)]
                unknown: &'a Unknown,
            },
            Unsupported {
                native_type: &'a str,
                reason: &'a str,
                #[serde(flatten)]
                unknown: &'a Unknown,
            },
        }
        let borrowed = match self {
            Self::Text { text, unknown } => Borrowed::Text { text, unknown },
            Self::Media(media) => Borrowed::Media(media),
            Self::Location(location) => Borrowed::Location(location),
            Self::Contacts { contacts, unknown } => Borrowed::Contacts { contacts, unknown },
            Self::Choice(choice) => Borrowed::Choice(choice),
            Self::Share(share) => Borrowed::Share(share),
            Self::Order(order) => Borrowed::Order(order),
            Self::Sealed { scheme, bytes, unknown } => Borrowed::Sealed { scheme, bytes, unknown },
            Self::Unsupported { native_type, reason, unknown } => {
                Borrowed::Unsupported { native_type, reason, unknown }
            }
            Self::Other(fields) => return fields.serialize(serializer),
        };
        borrowed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        let name = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        if !KNOWN_TYPES.contains(&name) {
            return Ok(Self::Other(fields));
        }
        let wire =
            serde_json::from_value(Value::Object(fields)).map_err(serde::de::Error::custom)?;
        Ok(match wire {
            WirePart::Text { text, unknown } => Self::Text { text, unknown },
            WirePart::Media(media) => Self::Media(media),
            WirePart::Location(location) => Self::Location(location),
            WirePart::Contacts { contacts, unknown } => Self::Contacts { contacts, unknown },
            WirePart::Choice(choice) => Self::Choice(choice),
            WirePart::Share(share) => Self::Share(share),
            WirePart::Order(order) => Self::Order(order),
            WirePart::Sealed { scheme, bytes, unknown } => Self::Sealed { scheme, bytes, unknown },
            WirePart::Unsupported { native_type, reason, unknown } => {
                Self::Unsupported { native_type, reason, unknown }
            }
        })
    }
}

impl JsonSchema for Part {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Part".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = WirePart::json_schema(generator);
        // A part of a later version is kept as it came, so it is no mistake.
        let later = json!({
            "type": "object",
            "description": "A part of a later version, kept as it came.",
            "properties": {"type": {"not": {"enum": KNOWN_TYPES}}},
        });
        if let Some(Value::Array(known)) = schema.get_mut("oneOf") {
            known.push(later);
        }
        schema
    }
}
