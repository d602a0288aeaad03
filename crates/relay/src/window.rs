//! The window in which an account may write freely to a person: what opens it, and whether it is open.
//!
//! Called by relay, which hears the person, and by deliver, which asks before it sends. Pure: times are arguments.
//! *Invariant:* what nobody knows counts as open: the platform then says what it is.

use interline_envelope::{Envelope, Kind};

/// What is known of a window. UTC milliseconds; 0 for what never happened, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When the person last opened it.
    pub opened: i64,
    /// When the platform last refused a message for it.
    pub refused: i64,
}

/// Whether a message may be sent through a window now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// As far as is known.
    Open,
    /// Not before the person writes.
    Closed,
    /// Not for so many milliseconds; then the platform may be asked again.
    ClosedFor(i64),
}

const HOUR_MS: i64 = 3_600_000;
/// A window that is known to be open is written down again only after this time, and so may end that much later than
/// the record says.
const COALESCED_MS: i64 = 5 * 60_000;
/// How often the platform is asked again by a daemon that never heard the person (its relay stage may be elsewhere).
const ASK_AGAIN_MS: i64 = HOUR_MS;

impl Window {
    /// Whether a message may go through. `lasts_hours`: how long the platform leaves a window open.
    pub const fn passage(&self, lasts_hours: u32, now: i64) -> Passage {
        if self.refused > self.opened {
            if self.opened > 0 {
                return Passage::Closed;
            }
            let left = self.refused.saturating_add(ASK_AGAIN_MS).saturating_sub(now);
            return if left > 0 { Passage::ClosedFor(left) } else { Passage::Open };
        }
        let lasts = lasts_hours as i64 * HOUR_MS + COALESCED_MS;
        if self.opened > 0 && now.saturating_sub(self.opened) > lasts {
            return Passage::Closed;
        }
        Passage::Open
    }

    /// True if what opened it at `at` has to be written down.
    pub const fn is_news(&self, at: i64) -> bool {
        self.refused >= self.opened || at.saturating_sub(self.opened) > COALESCED_MS
    }
}

/// True if what happened opens the window: a message, a tap, a postback, a link that led to the chat. Reactions, edits,
/// unsends and receipts do not.
pub fn opens_window(envelope: &Envelope) -> bool {
    !envelope.echo
        && !envelope.history
        && envelope.from.is_some()
        // A person who sends what is not known to this version has written all the same.
        && matches!(envelope.kind, Kind::Message | Kind::Referral | Kind::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::{EnvelopeId, Person, Platform};

    const NOW: i64 = 1_700_000_000_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn window(opened_ago: i64, refused_ago: Option<i64>) -> Window {
        let refused = refused_ago.map_or(0, |ago| NOW - ago);
        Window { opened: NOW - opened_ago, refused }
    }

    #[test]
    fn what_nobody_knows_counts_as_open() {
        assert_eq!(Window::default().passage(24, NOW), Passage::Open);
    }

    #[test]
    fn a_window_is_open_for_a_day_after_the_person_wrote() {
        let of = |ago| window(ago, None).passage(24, NOW);
        assert_eq!(of(DAY_MS - 1), Passage::Open);
        // The person may have written once more within the minutes that are not written down.
        assert_eq!(of(DAY_MS + COALESCED_MS), Passage::Open);
        assert_eq!(of(DAY_MS + COALESCED_MS + 1), Passage::Closed);
    }

    #[test]
    fn what_the_platform_refused_waits_until_the_person_writes_after_it() {
        assert_eq!(window(2 * HOUR_MS, Some(HOUR_MS)).passage(24, NOW), Passage::Closed);
        assert_eq!(window(HOUR_MS, Some(2 * HOUR_MS)).passage(24, NOW), Passage::Open);
    }

    #[test]
    fn a_daemon_that_never_heard_the_person_asks_the_platform_again_each_hour() {
        let of = |ago| Window { refused: NOW - ago, ..Window::default() }.passage(24, NOW);
        assert_eq!(of(HOUR_MS / 4), Passage::ClosedFor(HOUR_MS * 3 / 4));
        assert_eq!(of(HOUR_MS), Passage::Open);
    }

    #[test]
    fn a_person_who_goes_on_writing_costs_one_record_in_five_minutes() {
        let known = window(0, None);
        assert!(!known.is_news(NOW + COALESCED_MS));
        assert!(known.is_news(NOW + COALESCED_MS + 1));
        assert!(window(1, Some(0)).is_news(NOW), "a refusal in between makes it news");
        assert!(Window::default().is_news(NOW));
    }

    #[test]
    fn messages_and_links_open_a_window_and_reactions_and_receipts_do_not() {
        let envelope = |kind| {
            let platform = Platform::new("messenger").unwrap();
            let mut envelope =
                Envelope::new(EnvelopeId::from_bytes([0; 16]), kind, platform, "1", "2", NOW);
            envelope.from = Some(Person::new("2"));
            envelope
        };
        for kind in [Kind::Message, Kind::Referral, Kind::Unsupported] {
            assert!(opens_window(&envelope(kind)), "{kind:?}");
            assert!(!opens_window(&Envelope { echo: true, ..envelope(kind) }));
            assert!(!opens_window(&Envelope { history: true, ..envelope(kind) }));
            assert!(!opens_window(&Envelope { from: None, ..envelope(kind) }));
        }
        for kind in [Kind::Reaction, Kind::Edit, Kind::Delete, Kind::Status, Kind::Handover] {
            assert!(!opens_window(&envelope(kind)), "{kind:?}");
        }
    }
}
