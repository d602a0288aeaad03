//! The errors that are told to a client: which reply code, whether it costs the channel or the connection.
//!
//! Source: AMQP 0-9-1, "Constants"; the texts follow RabbitMQ's.

use amq_protocol::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

/// A reason to close a channel (soft) or a connection (hard).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {text}")]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) text: String,
    /// The class and method that caused it; zero where it was no method.
    pub(crate) method: (u16, u16),
    /// True where the whole connection goes.
    pub(crate) is_hard: bool,
}

impl Failure {
    /// A failure with any code; the code decides how much is closed.
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        let is_hard = !matches!(AMQPErrorKind::from_id(code), Some(AMQPErrorKind::Soft(_)));
        Self { code, text: text.into(), method: (0, 0), is_hard }
    }

    fn soft(error: &AMQPSoftError, text: &str) -> Self {
        Self { code: error.get_id(), text: text.to_owned(), method: (0, 0), is_hard: false }
    }

    fn hard(error: &AMQPHardError, text: &str) -> Self {
        Self { code: error.get_id(), text: text.to_owned(), method: (0, 0), is_hard: true }
    }

    pub(crate) fn no_queue(name: &str) -> Self {
        Self::soft(&AMQPSoftError::NOTFOUND, &format!("NOT_FOUND - no queue '{name}' in vhost '/'"))
    }

    pub(crate) fn no_exchange(name: &str) -> Self {
        Self::soft(
            &AMQPSoftError::NOTFOUND,
            &format!("NOT_FOUND - no exchange '{name}' in vhost '/'"),
        )
    }

    pub(crate) fn precondition(text: &str) -> Self {
        Self::soft(&AMQPSoftError::PRECONDITIONFAILED, &format!("PRECONDITION_FAILED - {text}"))
    }

    pub(crate) fn access_refused(text: &str) -> Self {
        Self::soft(&AMQPSoftError::ACCESSREFUSED, &format!("ACCESS_REFUSED - {text}"))
    }

    pub(crate) fn locked(queue: &str) -> Self {
        let text = format!(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'"
        );
        Self::soft(&AMQPSoftError::RESOURCELOCKED, &text)
    }

    /// A refused login: 403, but there is no channel yet that could be closed.
    pub(crate) fn login_refused() -> Self {
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";
        Self { is_hard: true, ..Self::soft(&AMQPSoftError::ACCESSREFUSED, text) }
    }

    pub(crate) fn forced(text: &str) -> Self {
        Self::hard(&AMQPHardError::CONNECTIONFORCED, &format!("CONNECTION_FORCED - {text}"))
    }

    pub(crate) fn frame(text: &str) -> Self {
        Self::hard(&AMQPHardError::FRAMEERROR, &format!("FRAME_ERROR - {text}"))
    }

    pub(crate) fn syntax(text: &str) -> Self {
        Self::hard(&AMQPHardError::SYNTAXERROR, &format!("SYNTAX_ERROR - {text}"))
    }

    pub(crate) fn command_invalid(text: &str) -> Self {
        Self::hard(&AMQPHardError::COMMANDINVALID, &format!("COMMAND_INVALID - {text}"))
    }

    pub(crate) fn channel(text: &str) -> Self {
        Self::hard(&AMQPHardError::CHANNELERROR, &format!("CHANNEL_ERROR - {text}"))
    }

    pub(crate) fn unexpected_frame(text: &str) -> Self {
        Self::hard(&AMQPHardError::UNEXPECTEDFRAME, &format!("UNEXPECTED_FRAME - {text}"))
    }

    pub(crate) fn not_allowed(text: &str) -> Self {
        Self::hard(&AMQPHardError::NOTALLOWED, &format!("NOT_ALLOWED - {text}"))
    }

    pub(crate) fn not_implemented(text: &str) -> Self {
        Self::hard(&AMQPHardError::NOTIMPLEMENTED, &format!("NOT_IMPLEMENTED - {text}"))
    }

    pub(crate) fn internal(text: &str) -> Self {
        Self::hard(&AMQPHardError::INTERNALERROR, &format!("INTERNAL_ERROR - {text}"))
    }

    /// The text as a short string: at most 255 bytes, cut at a character's end.
    pub(crate) fn short_text(&self) -> &str {
        let end = (0..=255).rev().find(|end| self.text.is_char_boundary(*end)).unwrap_or(0);
        self.text.get(..end.min(self.text.len())).unwrap_or(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_whether_the_channel_or_the_connection_is_closed() {
        assert!([311, 313, 403, 404, 405, 406].iter().all(|code| !Failure::new(*code, "").is_hard));
        assert!(
            [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541]
                .iter()
                .all(|code| Failure::new(*code, "").is_hard)
        );
    }

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_character() {
        let failure = Failure::new(404, "ä".repeat(200));
        assert_eq!(failure.short_text().len(), 254);
        assert_eq!(Failure::new(404, "short").short_text(), "short");
    }
}
