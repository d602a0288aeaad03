//! Decides which acks to write, in which order, and which of them with `multiple`.
//!
//! Pure. Each tag of a consumer's channel, counted from 1 without gaps, is open, settled (we want it acked) or written.
//! Invariant: a written ack always names a tag that the broker still holds open, since anything else makes it close
//! the channel with 406; and `multiple` never reaches beyond the lowest open tag.

use std::collections::BTreeSet;

/// What is known of one channel's delivery tags.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The highest tag that was handed out.
    delivered_max: u64,
    /// Every tag up to here is written.
    written_up_to: u64,
    /// Settled, not yet written; all above `written_up_to`.
    settled: BTreeSet<u64>,
    /// Written one by one above `written_up_to`.
    written_beyond: BTreeSet<u64>,
}

/// One `basic.ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckFrame {
    pub(crate) tag: u64,
    pub(crate) multiple: bool,
}

impl Ledger {
    /// Notes that all tags up to `tag` were delivered.
    pub(crate) fn delivered(&mut self, tag: u64) {
        self.delivered_max = self.delivered_max.max(tag);
    }

    /// Notes that `tag` may be acked; false if it is unknown, or settled already.
    pub(crate) fn settle(&mut self, tag: u64) -> bool {
        tag > self.written_up_to
            && tag <= self.delivered_max
            && !self.written_beyond.contains(&tag)
            && self.settled.insert(tag)
    }

    /// The acks to write now; they count as written from here on.
    pub(crate) fn take_frames(&mut self) -> Vec<AckFrame> {
        let mut frames = Vec::new();
        let mut last_settled_of_run = None;
        let mut run_end = self.written_up_to;
        loop {
            let next = run_end + 1;
            if self.settled.remove(&next) {
                last_settled_of_run = Some(next);
            } else if !self.written_beyond.remove(&next) {
                break;
            }
            run_end = next;
        }
        if let Some(tag) = last_settled_of_run {
            frames.push(AckFrame { tag, multiple: tag > self.written_up_to + 1 });
        }
        self.written_up_to = run_end;
        // Beyond the gap each tag needs its own ack: one slow delivery must not use up the whole prefetch.
        for tag in std::mem::take(&mut self.settled) {
            self.written_beyond.insert(tag);
            frames.push(AckFrame { tag, multiple: false });
        }
        frames
    }

    /// Delivered, and not yet settled.
    pub(crate) fn open_count(&self) -> u64 {
        let beyond = self.written_beyond.len() + self.settled.len();
        self.delivered_max - self.written_up_to - beyond as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The broker's side, as RabbitMQ does it: an ack of a tag that is not open closes the channel.
    fn broker_takes(open: &mut BTreeSet<u64>, frame: AckFrame) {
        assert!(open.contains(&frame.tag), "406 unknown delivery tag {}", frame.tag);
        if frame.multiple {
            open.retain(|tag| *tag > frame.tag);
        } else {
            open.remove(&frame.tag);
        }
    }

    fn frames_after(ledger: &mut Ledger, tags: &[u64]) -> Vec<(u64, bool)> {
        for tag in tags {
            assert!(ledger.settle(*tag), "{tag}");
        }
        ledger.take_frames().into_iter().map(|frame| (frame.tag, frame.multiple)).collect()
    }

    #[test]
    fn contiguous_acks_become_one_frame_and_a_gap_is_never_jumped() {
        let mut ledger = Ledger::default();
        ledger.delivered(10);
        assert_eq!(frames_after(&mut ledger, &[3, 1, 2]), [(3, true)]);
        assert_eq!(frames_after(&mut ledger, &[6, 5]), [(5, false), (6, false)]);
        assert_eq!(frames_after(&mut ledger, &[4]), [(4, false)]);
        assert_eq!(frames_after(&mut ledger, &[8, 7]), [(8, true)]);
        assert_eq!(ledger.open_count(), 2);
    }

    #[test]
    fn a_multiple_names_a_tag_that_is_still_open_even_if_the_run_ends_in_acked_ones() {
        let mut ledger = Ledger::default();
        ledger.delivered(4);
        assert_eq!(frames_after(&mut ledger, &[4]), [(4, false)]);
        assert_eq!(frames_after(&mut ledger, &[1, 2, 3]), [(3, true)]);
        assert_eq!(ledger.open_count(), 0);
    }

    #[test]
    fn tags_that_are_unknown_or_settled_are_ignored() {
        let mut ledger = Ledger::default();
        ledger.delivered(2);
        assert!(!ledger.settle(0) && !ledger.settle(3));
        assert!(ledger.settle(2) && !ledger.settle(2));
        ledger.take_frames();
        assert!(!ledger.settle(2));
        assert!(ledger.take_frames().is_empty());
    }

    proptest! {
        #[test]
        fn any_order_of_acks_in_any_batches_leaves_nothing_open_and_never_errs(
            order in Just((1..=60u64).collect::<Vec<_>>()).prop_shuffle(),
            batch in 1..20usize,
        ) {
            let mut ledger = Ledger::default();
            ledger.delivered(60);
            let mut open: BTreeSet<u64> = (1..=60).collect();
            let mut unsettled = open.clone();
            for tags in order.chunks(batch) {
                for tag in tags {
                    prop_assert!(ledger.settle(*tag));
                    unsettled.remove(tag);
                }
                for frame in ledger.take_frames() {
                    broker_takes(&mut open, frame);
                }
                prop_assert_eq!(&open, &unsettled, "acked neither too much nor too little");
                prop_assert_eq!(ledger.open_count(), open.len() as u64);
            }
            prop_assert!(open.is_empty());
        }
    }
}
