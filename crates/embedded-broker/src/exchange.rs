//! Exchanges: which names a routing key leads to.
//!
//! Pure. Refuses kinds other than direct, fanout and topic.

use std::collections::BTreeMap;

/// How an exchange compares routing keys with binding keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Fanout,
    Topic,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            "topic" => Some(Self::Topic),
            _ => None,
        }
    }
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Queue(String),
    Exchange(String),
}

/// One exchange with the bindings that start at it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: Kind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    /// One of the broker's own: never deleted.
    pub(crate) is_predeclared: bool,
    bindings: BTreeMap<String, Vec<Target>>,
}

impl Exchange {
    pub(crate) fn new(kind: Kind, durable: bool, auto_delete: bool, internal: bool) -> Self {
        Self {
            kind,
            durable,
            auto_delete,
            internal,
            is_predeclared: false,
            bindings: BTreeMap::new(),
        }
    }

    pub(crate) fn predeclared(kind: Kind) -> Self {
        Self { is_predeclared: true, ..Self::new(kind, true, false, false) }
    }

    /// Adds a binding; a second equal one changes nothing.
    pub(crate) fn bind(&mut self, key: &str, target: Target) {
        let targets = self.bindings.entry(key.to_owned()).or_default();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }

    /// Removes a binding; one that is not there is no error, as in RabbitMQ. True if there was one.
    pub(crate) fn unbind(&mut self, key: &str, target: &Target) -> bool {
        let Some(targets) = self.bindings.get_mut(key) else { return false };
        let before = targets.len();
        targets.retain(|bound| bound != target);
        let removed = targets.len() < before;
        if targets.is_empty() {
            self.bindings.remove(key);
        }
        removed
    }

    /// Removes every binding to a target that is gone. True if there was one.
    pub(crate) fn forget(&mut self, target: &Target) -> bool {
        let before: usize = self.bindings.values().map(Vec::len).sum();
        self.bindings.retain(|_, targets| {
            targets.retain(|bound| bound != target);
            !targets.is_empty()
        });
        self.bindings.values().map(Vec::len).sum::<usize>() < before
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The targets of `routing_key`, possibly the same one several times.
    pub(crate) fn targets<'a>(
        &'a self,
        routing_key: &'a str,
    ) -> Box<dyn Iterator<Item = &'a Target> + 'a> {
        match self.kind {
            Kind::Direct => Box::new(self.bindings.get(routing_key).into_iter().flatten()),
            Kind::Fanout => Box::new(self.bindings.values().flatten()),
            Kind::Topic => Box::new(
                self.bindings
                    .iter()
                    .filter(|(key, _)| topic_matches(key, routing_key))
                    .flat_map(|(_, targets)| targets),
            ),
        }
    }
}

/// Whether a topic pattern (`*` one word, `#` any number of words) takes `routing_key`.
///
/// Greedy with one step back to the last `#`, so its time is bounded by the product of the lengths.
fn topic_matches(pattern: &str, routing_key: &str) -> bool {
    if pattern == routing_key {
        return true;
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> = match routing_key {
        "" => Vec::new(),
        key => key.split('.').collect(),
    };
    let (mut p, mut w) = (0, 0);
    let mut last_hash: Option<(usize, usize)> = None;
    while let Some(word) = words.get(w) {
        match pattern.get(p) {
            Some(&"#") => {
                last_hash = Some((p, w));
                p += 1;
            }
            Some(&part) if part == "*" || part == *word => {
                p += 1;
                w += 1;
            }
            Some(_) | None => {
                let Some((hash, taken)) = last_hash else { return false };
                last_hash = Some((hash, taken + 1));
                p = hash + 1;
                w = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|part| *part == "#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_words_by_star_and_hash() {
        let yes = [
            ("a.b", "a.b"),
            ("a.*", "a.b"),
            ("#", ""),
            ("#", "a.b.c"),
            ("a.#", "a"),
            ("a.#.z", "a.z"),
            ("a.#.z", "a.b.z.c.z"),
            ("#.b.#", "a.b.c"),
            ("*.#", "a"),
        ];
        let no =
            [("a.*", "a"), ("a.*", "a.b.c"), ("a.#.z", "a.b"), ("*", ""), ("*.#", ""), ("a", "b")];
        assert!(yes.iter().all(|(pattern, key)| topic_matches(pattern, key)));
        assert!(no.iter().all(|(pattern, key)| !topic_matches(pattern, key)));
    }

    #[test]
    fn a_binding_made_twice_is_one_binding() {
        let mut exchange = Exchange::new(Kind::Direct, true, false, false);
        let target = Target::Queue("q".to_owned());
        exchange.bind("k", target.clone());
        exchange.bind("k", target.clone());
        assert_eq!(exchange.targets("k").count(), 1);
        assert!(exchange.unbind("k", &target) && exchange.is_unused());
    }
}
