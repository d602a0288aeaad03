//! Tells which publishes the broker returned.
//!
//! The client library hands a returned message to whichever publish is confirmed next, so a return says nothing about
//! the confirm that carries it: it is matched here by exchange, routing key and message id.
//!
//! What makes that certain: the broker sends a return before the confirm of the same message, and a confirm that
//! carries nothing means that every return received before it was carried by an earlier one. The publisher looks at
//! confirms in rounds, each of which takes all that are there. So at the end of a round
//! - a confirm that carried nothing is certain: its own return, if any, was carried by one of this or an earlier round;
//! - one that carried another's return is certain once its own return was seen, or a later round had a confirm that
//!   carried nothing, or nothing is in flight any more.

use std::collections::HashMap;

/// What identifies a message in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) message_id: String,
}

/// A publish that is waited for. Its identity is asked for only where something was returned.
pub(crate) trait Identified {
    fn identity(&self) -> Identity;
}

/// Whether the broker stored a confirmed publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    Unroutable,
}

/// Confirmed publishes whose return may still be on its way, and returns whose publish is not yet settled.
#[derive(Debug)]
pub(crate) struct Returns<T> {
    /// Confirmed in this round, carrying nothing.
    plain: Vec<T>,
    /// Confirmed in this round, carrying a return.
    carriers: Vec<T>,
    /// Carriers of earlier rounds.
    doubtful: Vec<T>,
    returned: HashMap<Identity, usize>,
    /// This round had a confirm that carried nothing.
    saw_plain: bool,
}

impl<T> Default for Returns<T> {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            carriers: Vec::new(),
            doubtful: Vec::new(),
            returned: HashMap::new(),
            saw_plain: false,
        }
    }
}

impl<T: Identified> Returns<T> {
    /// Notes what a confirm, positive or not, carried.
    pub(crate) fn carried(&mut self, returned: Option<Identity>) {
        match returned {
            Some(identity) => *self.returned.entry(identity).or_default() += 1,
            None => self.saw_plain = true,
        }
    }

    /// Notes a publish that the broker acked.
    pub(crate) fn confirmed(&mut self, publish: T, is_carrier: bool) {
        if is_carrier {
            self.carriers.push(publish);
        } else {
            self.plain.push(publish);
        }
    }

    /// Ends a round, and tells what became of the publishes that are certain now.
    pub(crate) fn end_round(&mut self, nothing_in_flight: bool, mut tell: impl FnMut(T, Fate)) {
        let mut certain = std::mem::take(&mut self.plain);
        if self.saw_plain || nothing_in_flight {
            certain.append(&mut self.doubtful);
        }
        self.saw_plain = false;
        self.doubtful.append(&mut self.carriers);
        if nothing_in_flight {
            certain.append(&mut self.doubtful);
        } else {
            let returned = &self.returned;
            certain.extend(
                self.doubtful.extract_if(.., |publish| returned.contains_key(&publish.identity())),
            );
        }
        for publish in certain.drain(..) {
            let fate = self.fate_of(&publish);
            tell(publish, fate);
        }
        // The room that it took is used again.
        self.plain = certain;
        if nothing_in_flight {
            // What is left belongs to messages that were nacked as well as returned.
            self.returned.clear();
        }
    }

    fn fate_of(&mut self, publish: &T) -> Fate {
        if self.returned.is_empty() {
            return Fate::Stored;
        }
        let identity = publish.identity();
        let Some(count) = self.returned.get_mut(&identity) else { return Fate::Stored };
        *count -= 1;
        if *count == 0 {
            self.returned.remove(&identity);
        }
        Fate::Unroutable
    }

    /// Those that are in doubt when the link is lost.
    pub(crate) fn abandon(&mut self) -> Vec<T> {
        let all = [&mut self.plain, &mut self.carriers, &mut self.doubtful];
        all.into_iter().flat_map(std::mem::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str) -> Identity {
        Identity { exchange: "x".into(), routing_key: "k".into(), message_id: id.into() }
    }

    impl Identified for Identity {
        fn identity(&self) -> Identity {
            self.clone()
        }
    }

    /// A confirm of `id`, which carries the return of `carried`.
    fn confirm(returns: &mut Returns<Identity>, id: &str, carried: Option<&str>) {
        returns.carried(carried.map(identity));
        returns.confirmed(identity(id), carried.is_some());
    }

    fn end_round(returns: &mut Returns<Identity>, nothing_in_flight: bool) -> Vec<(String, Fate)> {
        let mut told = Vec::new();
        returns.end_round(nothing_in_flight, |publish, fate| told.push((publish.message_id, fate)));
        told
    }

    fn stored(id: &str) -> (String, Fate) {
        (id.to_owned(), Fate::Stored)
    }

    fn unroutable(id: &str) -> (String, Fate) {
        (id.to_owned(), Fate::Unroutable)
    }

    #[test]
    fn a_return_counts_for_its_own_message_though_its_carrier_is_seen_later_in_the_round() {
        let mut returns = Returns::default();
        confirm(&mut returns, "lost", None);
        confirm(&mut returns, "carrier", Some("lost"));
        assert_eq!(
            end_round(&mut returns, false),
            [unroutable("lost")],
            "the carrier is not certain yet"
        );
        confirm(&mut returns, "next", None);
        assert_eq!(end_round(&mut returns, false), [stored("next"), stored("carrier")]);
        assert!(returns.returned.is_empty());
    }

    #[test]
    fn a_carrier_whose_own_return_comes_a_round_later_is_not_taken_for_stored() {
        let mut returns = Returns::default();
        confirm(&mut returns, "plain", None);
        confirm(&mut returns, "b", Some("a"));
        assert_eq!(end_round(&mut returns, false), [stored("plain")]);
        confirm(&mut returns, "a", Some("b"));
        let mut fates = end_round(&mut returns, false);
        fates.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(fates, [unroutable("a"), unroutable("b")]);
    }

    #[test]
    fn a_carrier_is_settled_when_nothing_is_in_flight() {
        let mut returns = Returns::default();
        confirm(&mut returns, "a", Some("a"));
        confirm(&mut returns, "b", Some("nacked"));
        assert_eq!(end_round(&mut returns, true), [unroutable("a"), stored("b")]);
        assert!(returns.returned.is_empty(), "nothing is left to blame a later message with");
    }

    #[test]
    fn the_same_id_under_another_key_is_innocent() {
        let mut returns = Returns::default();
        returns.carried(Some(identity("a")));
        let other = Identity { routing_key: "other".into(), ..identity("a") };
        returns.confirmed(other, false);
        confirm(&mut returns, "a", None);
        assert_eq!(end_round(&mut returns, false), [stored("a"), unroutable("a")]);
    }

    #[test]
    fn two_returns_of_one_id_count_for_two_publishes_and_not_for_a_third() {
        let mut returns = Returns::default();
        returns.carried(Some(identity("a")));
        returns.carried(Some(identity("a")));
        for _ in 0..3 {
            confirm(&mut returns, "a", None);
        }
        assert_eq!(end_round(&mut returns, false), [unroutable("a"), unroutable("a"), stored("a")]);
    }
}
