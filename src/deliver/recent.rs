//! The dispatches that were finished a moment ago: what a successor's `prev` is held against.

use interline_envelope::DispatchId;
use std::collections::{HashSet, VecDeque};

/// How many are remembered. A `prev` is at most one relay prefetch old.
const REMEMBERED_MAX: usize = 4096;

/// A bounded set; the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ids: HashSet<DispatchId>,
    order: VecDeque<DispatchId>,
}

impl Recent {
    pub(super) fn contains(&self, id: DispatchId) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn insert(&mut self, id: DispatchId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_only_the_last_few_thousand_are_remembered() {
        let mut recent = Recent::default();
        let id = |n: u32| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            DispatchId::from_bytes(bytes)
        };
        for n in 0..5_000 {
            recent.insert(id(n));
            recent.insert(id(n));
        }
        assert!(recent.contains(id(4_999)) && recent.contains(id(904)));
        assert!(!recent.contains(id(903)));
        assert_eq!(recent.order.len(), REMEMBERED_MAX);
    }
}
