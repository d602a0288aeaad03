//! What tells the two platforms apart. Each bridge declares its own.

use crate::Network;
use interline_envelope::Platform;
use interline_relay::TextLimit;

/// Which reactions the platform takes from us (PLATFORMS.md section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emoji {
    /// Every emoji, as it is.
    Any,
    /// Only the heart, by the word `love`.
    Love,
}

/// What the Send API of one platform takes.
#[derive(Clone, Copy, Debug)]
pub struct SendRules {
    /// The bound of one text.
    pub text: TextLimit,
    /// `messaging_type` of relayed content that does not name one.
    pub messaging_type: Option<&'static str>,
    /// The longest `metadata` in bytes; nothing where echoes do not bring it back.
    pub marker_bytes_max: Option<usize>,
    /// How many images fit into one message.
    pub images_max: usize,
    /// Which reactions can be set.
    pub reactions: Emoji,
    /// True if the platform's own stickers are sent by `sticker_id`.
    pub stickers: bool,
    /// True if the platform's heart is sent as `like_heart`.
    pub heart: bool,
    /// True if a post of the account's own is sent as `MEDIA_SHARE`.
    pub post: bool,
    /// True if there are utility templates.
    pub utility: bool,
    /// True if a recipient may be a `user_ref`.
    pub user_ref: bool,
    /// True if a message may release the thread (`thread_control`).
    pub release: bool,
    /// The tags that are still taken. PLATFORMS.md section 4: the others answer error 100 since 27 April 2026.
    pub tags: &'static [&'static str],
    /// The `platform` field of an upload.
    pub upload_platform: Option<&'static str>,
    /// True if `is_reusable` is the string `"true"`, as the Instagram documentation has it.
    pub reusable_as_text: bool,
    /// True if names of uploaded files must be ASCII.
    pub ascii_filenames: bool,
}

/// One of the two platforms.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// The bridge's id.
    pub platform: Platform,
    /// The name that people know.
    pub name: &'static str,
    /// The value of `object` in its webhooks.
    pub object: &'static str,
    /// Whose error codes it answers with.
    pub network: Network,
    /// What it takes.
    pub send: SendRules,
}
