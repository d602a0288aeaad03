//! People who talk both ways in one conversation for each pair of platforms, and what they must have heard.
//!
//! What is asserted is exact: every text once, in the order in which it was said. A scenario with a kill that the
//! platform cannot settle counts for itself.

use crate::harness::{LIMIT, Seat, World, instagram, messenger, whatsapp};
use crate::recorder::{Count, Recorder, whole_text};
use interline_sandbox::Seen;

/// The conversations, and how many texts each person has said so far.
pub(crate) struct Talk {
    pub(crate) pairs: Vec<(Seat, Seat)>,
    said: usize,
}

impl Talk {
    /// One conversation for each pair of platforms.
    pub(crate) fn new() -> Self {
        Self::of(vec![
            (whatsapp(1, "Alice"), messenger(1, "Bob")),
            (messenger(2, "Carol"), instagram(2, "Dave")),
            (instagram(3, "Erin"), whatsapp(3, "Frank")),
        ])
    }

    pub(crate) fn of(pairs: Vec<(Seat, Seat)>) -> Self {
        Self { pairs, said: 0 }
    }

    pub(crate) fn conversations(&self) -> Vec<(String, Vec<Seat>)> {
        let pairs = self.pairs.iter().enumerate();
        pairs.map(|(n, (a, b))| (format!("talk-{n}"), vec![a.clone(), b.clone()])).collect()
    }

    /// A world for these conversations; the daemon is not started yet.
    pub(crate) async fn world(&self, broker_url: &str) -> World {
        World::new(broker_url, self.conversations()).await
    }

    /// Everybody says so many texts, in turn.
    pub(crate) fn say(&mut self, world: &World, count: usize) {
        for n in self.said..self.said + count {
            for (a, b) in &self.pairs {
                world.phone(a).say(text_of(a, n)).unwrap();
                world.phone(b).say(text_of(b, n)).unwrap();
            }
        }
        self.said += count;
    }

    /// Waits until the stream flows: somebody has heard this many texts of `from` on.
    pub(crate) async fn flows(&self, world: &World, count: usize) {
        let (_, b) = self.pairs.first().expect("somebody talks");
        let enough = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() >= count;
        world.until(b, "the stream flows", enough).await;
    }

    /// Waits until everybody has heard everything, once and in order.
    pub(crate) async fn heard(&self, world: &World) {
        for (a, b) in &self.pairs {
            world.until_texts(b, &self.texts_of(a)).await;
            world.until_texts(a, &self.texts_of(b)).await;
        }
    }

    /// Waits until everybody's last text has come to the other, and counts what came on the way.
    pub(crate) async fn counted(&self, world: &World, recorder: &Recorder) -> Count {
        let mut count = Count::default();
        for (from, to) in self.pairs.iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
            let wanted = self.texts_of(from);
            let last = wanted.last().cloned().unwrap_or_default();
            let came = |view: &[Seen]| {
                view.iter().any(|seen| !seen.mine && seen.text() == Some(last.as_str()))
            };
            world.until(to, "the last text", came).await;
            count += recorder.count(&world.phone(to).received(), &wanted, whole_text);
        }
        count
    }

    /// Waits until everybody has heard everything, stops the daemon in order, and looks again: nothing came later.
    pub(crate) async fn ends_well(&self, world: &mut World) {
        self.heard(world).await;
        let idle = tokio::time::timeout(LIMIT, world.platforms.idle());
        assert!(idle.await.is_ok(), "every webhook is taken in the end");
        assert_eq!(world.stop().await, Some(0), "the daemon drains");
        assert!(!world.log().contains("its deadline"), "nothing was left to wait for");
        self.heard(world).await;
    }

    fn texts_of(&self, seat: &Seat) -> Vec<String> {
        (0..self.said).map(|n| text_of(seat, n)).collect()
    }
}

fn text_of(seat: &Seat, n: usize) -> String {
    format!("{} says {n}", seat.name)
}
