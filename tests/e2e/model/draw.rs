//! What happens in a play: drawn from a seed alone, so that a seed says all of it.
//!
//! Only what people and platforms can do is drawn: nobody reacts to what was taken back, nobody takes back on Messenger.

use super::ground::BrokerFails;
use interline_sandbox::{Fault, Kind};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) const HEART: &str = "❤";
const EMOJIS: [&str; 4] = [HEART, "👍", "😂", "😮"];
/// Acts of one play.
const ACTS_MIN: usize = 15;
const ACTS_MAX: usize = 30;
const KILLS_MAX: usize = 3;
/// Longer than anything that the daemon waits for but a broker.
const BROKER_AWAY_MS_MAX: usize = 60_000;

/// One thing that happens. People are places in the cast, messages are numbered in the order of saying.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Say {
        who: usize,
    },
    /// Says what only WhatsApp shows in one piece.
    SayLong {
        who: usize,
    },
    /// Sends a photo without words.
    Photo {
        who: usize,
    },
    /// Says a text that WhatsApp takes for somebody, and reports so often as failed later, before it arrives.
    FailsLater {
        who: usize,
        on: usize,
        times: u64,
    },
    /// On WhatsApp: has written last too long ago, so that what the others say meanwhile is taken and reported as failed
    /// later; then writes, and gets it.
    Misses {
        who: usize,
        says: usize,
    },
    /// Reads all that there is.
    Read {
        who: usize,
    },
    /// Has written last too long ago: whoever wants to reach this person has to wait.
    IsAway {
        who: usize,
    },
    Reply {
        who: usize,
        to: usize,
    },
    React {
        who: usize,
        to: usize,
        emoji: &'static str,
    },
    Unreact {
        who: usize,
        to: usize,
    },
    Edit {
        who: usize,
        of: usize,
    },
    Unsend {
        who: usize,
        of: usize,
    },
    /// Tries to edit or to take back what somebody else said; nothing may follow.
    Meddle {
        who: usize,
        of: usize,
        unsends: bool,
    },
    /// Says a text and does something about it at once; the platform posts the two in the opposite order.
    Reversed {
        who: usize,
        then: Then,
    },
    /// From now on the platform posts every webhook so many times.
    Copies {
        on: usize,
        copies: u32,
        rebatch: bool,
    },
    /// The platform fails at some of the next sends.
    Fails {
        on: usize,
        how: Failing,
        /// At files on their way there or from there, and not at messages.
        files: bool,
        times: u64,
        after: u64,
    },
    /// The broker fails once.
    Broker(BrokerFails),
    /// The daemon is killed that long after the act before, and started again.
    Kill {
        after_ms: u64,
    },
    /// Says a text that a platform takes without an answer; the daemon is killed that long after.
    DiesSending {
        who: usize,
        on: usize,
        after_ms: u64,
    },
}

/// What is done about a text that was just said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Reply,
    React(&'static str),
    Edit,
    Unsend,
}

/// How a platform fails, and passes again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failing {
    Throttles,
    AnswersGraph500,
    AnswersEmpty503,
    TakesAndIsSilent,
    TakesAndCuts,
    TakesAndAnswersHtml500,
    IsSlow,
    /// The account's token is dead for a while. Not drawn.
    WantsToken,
}

impl Failing {
    pub(super) fn fault(self, kind: Kind) -> Fault {
        match self {
            Self::Throttles => Fault::throttle(kind),
            Self::AnswersGraph500 => Fault::graph_500(),
            Self::AnswersEmpty503 => Fault::Empty503,
            Self::TakesAndIsSilent => Fault::TakeThenHang,
            Self::TakesAndCuts => Fault::TakeThenCut,
            Self::TakesAndAnswersHtml500 => Fault::TakeThenHtml500,
            Self::IsSlow => Fault::SlowAnswer(Duration::from_millis(300)),
            Self::WantsToken => Fault::known(kind, 190, None).expect("every platform has it"),
        }
    }
}

/// A conversation with everything that happens in it.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) seed: u64,
    /// Who takes part: one person a platform.
    pub(super) cast: Vec<Kind>,
    /// True if WhatsApp hands the new words of an edit over.
    pub(super) native_edits: bool,
    pub(super) acts: Vec<Act>,
}

impl Play {
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let all = [Kind::WhatsApp, Kind::Messenger, Kind::Instagram];
        // Among two, one platform is left out.
        let left_out = dice.below(6);
        let cast: Vec<Kind> =
            (0..3).filter(|place| *place != left_out).map(|place| all[place]).collect();
        let native_edits = dice.below(2) == 0;
        let count = ACTS_MIN + dice.below(ACTS_MAX - ACTS_MIN + 1);
        let mut drawer = Drawer {
            dice,
            cast: &cast,
            said: Vec::new(),
            reactions: HashMap::new(),
            just_set: None,
            away: vec![false; cast.len()],
            kills: 0,
        };
        let mut acts = vec![drawer.say()];
        while acts.len() < count {
            acts.extend(drawer.draw());
        }
        Self { seed, cast, native_edits, acts }
    }

    /// One line an act.
    pub(super) fn told(&self) -> String {
        let mut told = format!("cast {:?}, native edits: {}\n", self.cast, self.native_edits);
        for (n, act) in self.acts.iter().enumerate() {
            writeln!(told, "{n:3} {act:?}").expect("a string takes all");
        }
        told
    }
}

/// Numbers that follow from a seed: SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    /// For when things happen, apart from what happens.
    pub(super) fn of_moments(seed: u64) -> Self {
        Self(!seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    fn of<T: Copy>(&mut self, things: &[T]) -> Option<T> {
        (!things.is_empty()).then(|| things[self.below(things.len())])
    }
}

/// What was said, as far as it matters for what may be drawn next.
struct Said {
    author: usize,
    /// Others quote it whole.
    is_quotable: bool,
    taken_back: bool,
}

/// Who says something while somebody misses it: the others in turn.
pub(super) fn meanwhile(people: usize, who: usize, says: usize) -> impl Iterator<Item = usize> {
    (0..says).map(move |n| (who + 1 + n % (people - 1)) % people)
}

struct Drawer<'a> {
    dice: Dice,
    cast: &'a [Kind],
    said: Vec<Said>,
    reactions: HashMap<(usize, usize), &'static str>,
    /// The reaction of the act before.
    just_set: Option<(usize, usize)>,
    /// Whom nothing reaches before they write.
    away: Vec<bool>,
    kills: usize,
}

impl Drawer<'_> {
    /// The next act; nothing if what the dice say cannot be done now.
    fn draw(&mut self) -> Option<Act> {
        // What was just set may be under way yet.
        if self.just_set.is_some() {
            if self.dice.below(3) == 0 {
                return self.unreact();
            }
            self.just_set = None;
        }
        match self.dice.below(100) {
            0..17 => Some(self.say()),
            17..20 => Some(self.photo()),
            20..21 => self.fails_later(),
            21..22 => self.misses(),
            22..25 => Some(self.say_long()),
            25..27 => self.reads(),
            27..30 => self.goes_away(),
            30..47 => self.reply(),
            47..61 => self.react(),
            61..66 => self.unreact(),
            66..73 => self.edit(),
            73..78 => self.unsend(),
            78..82 => self.meddle(),
            82..88 => Some(self.reversed()),
            88..91 => Some(self.copies()),
            91..95 => Some(self.fails()),
            95..98 => Some(self.broker()),
            _ => self.kill(),
        }
    }

    fn anybody(&mut self) -> usize {
        self.dice.below(self.cast.len())
    }

    fn message(&mut self, wanted: impl Fn(&Said) -> bool) -> Option<usize> {
        let stands: Vec<usize> = (0..self.said.len())
            .filter(|n| !self.said[*n].taken_back && wanted(&self.said[*n]))
            .collect();
        self.dice.of(&stands)
    }

    fn hears(&mut self, author: usize) {
        self.said.push(Said { author, is_quotable: true, taken_back: false });
        self.away[author] = false;
    }

    fn say(&mut self) -> Act {
        let who = self.anybody();
        self.said_by(who)
    }

    fn said_by(&mut self, who: usize) -> Act {
        self.hears(who);
        Act::Say { who }
    }

    fn say_long(&mut self) -> Act {
        let who = self.anybody();
        self.hears(who);
        self.said.last_mut().expect("it was just said").is_quotable = false;
        Act::SayLong { who }
    }

    fn photo(&mut self) -> Act {
        let who = self.anybody();
        self.hears(who);
        self.said.last_mut().expect("it was just sent").is_quotable = false;
        Act::Photo { who }
    }

    /// The person on WhatsApp, and somebody else; nothing if there is none, or something waits for somebody.
    fn whatsapp_and_another(&mut self) -> Option<(usize, usize)> {
        if self.away.contains(&true) {
            return None;
        }
        let on = self.cast.iter().position(|kind| *kind == Kind::WhatsApp)?;
        let who = (on + 1 + self.dice.below(self.cast.len() - 1)) % self.cast.len();
        Some((on, who))
    }

    fn fails_later(&mut self) -> Option<Act> {
        let (on, who) = self.whatsapp_and_another()?;
        self.hears(who);
        Some(Act::FailsLater { who, on, times: 1 + self.dice.below(3) as u64 })
    }

    fn misses(&mut self) -> Option<Act> {
        let (who, _) = self.whatsapp_and_another()?;
        let says = 1 + self.dice.below(3);
        for author in meanwhile(self.cast.len(), who, says) {
            self.hears(author);
        }
        self.hears(who);
        Some(Act::Misses { who, says })
    }

    /// Who reads what is not recorded yet when the daemon dies has read it for nobody: that is not drawn.
    fn reads(&mut self) -> Option<Act> {
        let who = self.anybody();
        if self.kills > 0 {
            return None;
        }
        self.kills = KILLS_MAX;
        Some(Act::Read { who })
    }

    /// WhatsApp reports later what comes too late: see [`Act::Misses`].
    fn goes_away(&mut self) -> Option<Act> {
        let who = self.anybody();
        if self.cast[who] == Kind::WhatsApp {
            return None;
        }
        self.away[who] = true;
        Some(Act::IsAway { who })
    }

    /// True if somebody may not have got a message before writing.
    fn lacks(&self, who: usize, message: usize) -> bool {
        self.away[who] && self.said[message].author != who
    }

    fn reply(&mut self) -> Option<Act> {
        let who = self.anybody();
        let to = self.message(|_| true)?;
        if self.lacks(who, to) {
            return Some(self.said_by(who));
        }
        self.hears(who);
        Some(Act::Reply { who, to })
    }

    fn react(&mut self) -> Option<Act> {
        let who = self.anybody();
        // What can only be told quotes the first words of a long text, and a photo in words: the reference does neither.
        let to = self.message(|said| said.is_quotable)?;
        if self.lacks(who, to) {
            return Some(self.said_by(who));
        }
        let emoji = self.dice.of(&EMOJIS)?;
        let before = self.reactions.get(&(who, to)).copied();
        if before == Some(emoji) {
            return None;
        }
        self.reactions.insert((who, to), emoji);
        self.just_set = Some((who, to));
        Some(Act::React { who, to, emoji })
    }

    fn unreact(&mut self) -> Option<Act> {
        let mut set: Vec<(usize, usize)> = self.reactions.keys().copied().collect();
        set.retain(|(_, to)| !self.said[*to].taken_back);
        set.sort_unstable();
        let (who, to) = match self.just_set.take().filter(|one| set.contains(one)) {
            Some(one) => one,
            None => self.dice.of(&set)?,
        };
        if self.lacks(who, to) {
            return Some(self.said_by(who));
        }
        self.reactions.remove(&(who, to));
        Some(Act::Unreact { who, to })
    }

    fn edit(&mut self) -> Option<Act> {
        let who = self.anybody();
        let of = self.message(|said| said.author == who && said.is_quotable)?;
        Some(Act::Edit { who, of })
    }

    fn unsend(&mut self) -> Option<Act> {
        let who = self.anybody();
        let of = self.message(|said| said.author == who && said.is_quotable)?;
        if self.cast[who] == Kind::Messenger {
            return None;
        }
        self.said[of].taken_back = true;
        Some(Act::Unsend { who, of })
    }

    fn meddle(&mut self) -> Option<Act> {
        let who = self.anybody();
        let of = self.message(|said| said.author != who)?;
        if self.lacks(who, of) {
            return Some(self.said_by(who));
        }
        let unsends = match self.cast[who] {
            Kind::WhatsApp => return None,
            Kind::Messenger => false,
            Kind::Instagram => self.dice.below(2) == 0,
        };
        Some(Act::Meddle { who, of, unsends })
    }

    fn reversed(&mut self) -> Act {
        let who = self.anybody();
        let own = self.said.len();
        self.hears(who);
        let then = match self.dice.below(4) {
            0 => Then::React(EMOJIS[self.dice.below(EMOJIS.len())]),
            1 => Then::Edit,
            2 if self.cast[who] != Kind::Messenger => Then::Unsend,
            _ => Then::Reply,
        };
        match then {
            Then::Reply => self.hears(who),
            Then::React(emoji) => {
                self.reactions.insert((who, own), emoji);
                self.just_set = Some((who, own));
            }
            Then::Edit => {}
            Then::Unsend => self.said[own].taken_back = true,
        }
        Act::Reversed { who, then }
    }

    fn copies(&mut self) -> Act {
        let copies = [1, 2, 2, 3][self.dice.below(4)];
        Act::Copies { on: self.anybody(), copies, rebatch: self.dice.below(2) == 0 }
    }

    fn fails(&mut self) -> Act {
        let how = [
            Failing::Throttles,
            Failing::AnswersGraph500,
            Failing::AnswersGraph500,
            Failing::AnswersEmpty503,
            Failing::TakesAndIsSilent,
            Failing::TakesAndIsSilent,
            Failing::TakesAndCuts,
            Failing::TakesAndAnswersHtml500,
            Failing::IsSlow,
        ][self.dice.below(9)];
        // What is of unknown fate is waited for each time.
        let times = match how {
            Failing::AnswersEmpty503 | Failing::Throttles | Failing::WantsToken => 1,
            Failing::AnswersGraph500
            | Failing::TakesAndIsSilent
            | Failing::TakesAndCuts
            | Failing::TakesAndAnswersHtml500
            | Failing::IsSlow => 1 + self.dice.below(3) as u64,
        };
        let (on, after) = (self.anybody(), self.dice.below(3) as u64);
        // Files lie on hosts that know no API's throttle.
        let files = self.dice.below(4) == 0 && !matches!(how, Failing::Throttles);
        Act::Fails { on, how, files, times, after }
    }

    fn broker(&mut self) -> Act {
        let after = self.dice.below(6) as u64;
        Act::Broker(match self.dice.below(5) {
            0 => BrokerFails::Cuts,
            4 => BrokerFails::IsAway { ms: self.dice.below(BROKER_AWAY_MS_MAX) as u64 },
            1 => BrokerFails::Refuses { after },
            2 => BrokerFails::StoresAndCuts { after },
            _ => BrokerFails::CutsBeforeStoring { after },
        })
    }

    fn kill(&mut self) -> Option<Act> {
        if self.kills == KILLS_MAX {
            return None;
        }
        self.kills += 1;
        let after_ms = self.dice.below(150) as u64;
        if self.dice.below(2) == 0 {
            return Some(Act::Kill { after_ms });
        }
        let who = self.anybody();
        let on = (who + 1 + self.dice.below(self.cast.len() - 1)) % self.cast.len();
        self.hears(who);
        Some(Act::DiesSending { who, on, after_ms })
    }
}
