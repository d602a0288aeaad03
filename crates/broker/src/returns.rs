//! Tells which publishes the broker returned.
//!
//! The client library hands a returned message to whichever publish is confirmed next, so a return says nothing about
//! the confirm that carries it: it is matched here by exchange, routing key and message id.
//!
//! Two facts make that certain. The broker sends a return before the confirm of the same message; and a confirm that
//! carries nothing means that every return received before it has been carried by an earlier one. So a confirm without
//! a return settles itself and all before it; a confirm that carries another's return has to wait for the next such
//! confirm, or until nothing is in flight.

use std::collections::HashMap;

/// What identifies a message in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) message_id: String,
}

/// Confirmed publishes whose return may still be on its way, and returns whose publish is not yet settled.
#[derive(Debug)]
pub(crate) struct Returns<T> {
    waiting: Vec<(Identity, T)>,
    returned: HashMap<Identity, usize>,
}

/// Whether the broker stored a confirmed publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    Unroutable,
}

impl<T> Default for Returns<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), returned: HashMap::new() }
    }
}

impl<T> Returns<T> {
    /// Notes the return that a confirm carried.
    pub(crate) fn returned(&mut self, identity: Identity) {
        *self.returned.entry(identity).or_default() += 1;
    }

    /// Notes a publish that the broker acked.
    pub(crate) fn confirmed(&mut self, identity: Identity, publish: T) {
        self.waiting.push((identity, publish));
    }

    /// Notes that every return up to here is known, and yields what became of the publishes confirmed so far.
    pub(crate) fn settle(&mut self) -> impl Iterator<Item = (Identity, T, Fate)> {
        self.waiting.drain(..).map(|(identity, publish)| {
            let fate = match self.returned.get_mut(&identity) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    Fate::Unroutable
                }
                Some(_) => {
                    self.returned.remove(&identity);
                    Fate::Unroutable
                }
                None => Fate::Stored,
            };
            (identity, publish, fate)
        })
    }

    /// Those that are in doubt when the link is lost.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = T> {
        self.waiting.drain(..).map(|(_, publish)| publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str) -> Identity {
        Identity { exchange: "x".into(), routing_key: "k".into(), message_id: id.into() }
    }

    fn fates(returns: &mut Returns<u32>) -> Vec<(u32, Fate)> {
        returns.settle().map(|(_, publish, fate)| (publish, fate)).collect()
    }

    #[test]
    fn a_return_counts_for_its_own_message_whichever_confirm_carried_it() {
        let mut returns = Returns::default();
        returns.returned(identity("b"));
        returns.confirmed(identity("a"), 1);
        returns.confirmed(identity("b"), 2);
        returns.confirmed(identity("c"), 3);
        assert_eq!(
            fates(&mut returns),
            [(1, Fate::Stored), (2, Fate::Unroutable), (3, Fate::Stored)]
        );
        assert!(returns.returned.is_empty());
    }

    #[test]
    fn the_same_id_under_another_key_is_innocent() {
        let mut returns = Returns::default();
        returns.returned(identity("a"));
        returns.confirmed(Identity { routing_key: "other".into(), ..identity("a") }, 1);
        returns.confirmed(identity("a"), 2);
        assert_eq!(fates(&mut returns), [(1, Fate::Stored), (2, Fate::Unroutable)]);
    }

    #[test]
    fn two_returns_of_one_id_count_for_two_publishes_and_not_for_a_third() {
        let mut returns = Returns::default();
        returns.returned(identity("a"));
        returns.returned(identity("a"));
        for publish in 1..=3 {
            returns.confirmed(identity("a"), publish);
        }
        assert_eq!(
            fates(&mut returns),
            [(1, Fate::Unroutable), (2, Fate::Unroutable), (3, Fate::Stored)]
        );
    }
}
