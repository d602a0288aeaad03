//! Who hears whom: the conversations, and which of them a person stands in.
//!
//! Called by relay (to find a conversation) and by deliver (to ask for consent before every request, G6).
//! Pure: no clock, no I/O. A reload builds a new one and swaps it as a whole.
//!
//! *Invariant:* an address stands in at most one conversation.

use interline_envelope::{AccountRef, Address, Person, Redacted};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// When a text carries its author's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attribution {
    /// Where more than two people hear each other.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// One person in a conversation, as the config has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Where they can be reached. It stands in one conversation only.
    pub address: Address,
    /// The name that others are shown.
    pub name: Option<Redacted<String>>,
    /// Their business-scoped user id (BSUID), if it is known beforehand.
    pub scoped_id: Option<Redacted<String>>,
    /// The language that they are told things in, as a tag (`de`), if it is known.
    pub language: Option<Arc<str>>,
}

/// People who hear each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its name in the config; unique.
    pub name: Arc<str>,
    /// Who takes part.
    pub participants: Vec<Participant>,
    /// When a text carries its author's name.
    pub attribution: Attribution,
    /// True if people see on their own platform that the others have read what they wrote.
    pub receipts: bool,
}

impl Conversation {
    /// True if a text carries its author's name.
    pub const fn names_authors(&self) -> bool {
        match self.attribution {
            Attribution::Auto => self.participants.len() > 2,
            Attribution::Always => true,
            Attribution::Never => false,
        }
    }
}

/// A second id of a participant that was learned from an event, to be remembered over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The id that events may carry alone: a BSUID, or the plain id of somebody who is configured by BSUID.
    pub id: Redacted<String>,
    /// The address in the config that it belongs to.
    pub address: Address,
}

/// Why conversations are no directory. `interline check` says it with line numbers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DirectoryError {
    /// Two conversations of one name.
    #[error("two conversations are named `{0}`; give one of them another name")]
    NameTwice(Arc<str>),
    /// One person in two places.
    #[error(
        "a participant of account {account} stands in `{first}` and again in `{second}`; \
         an address (or its scoped id) may stand in one conversation, so remove one of the two"
    )]
    PersonTwice {
        /// The account of the address; the person is not named.
        account: AccountRef,
        /// The conversation that has them.
        first: Arc<str>,
        /// The conversation that wants them too; the same if it lists them twice.
        second: Arc<str>,
    },
}

/// Where a person sits: a conversation and an index into its participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    conversation: usize,
    participant: usize,
}

/// Ids of people, by account. Two levels, so that a look-up borrows both.
type Places = HashMap<AccountRef, HashMap<Redacted<String>, Place>>;

/// All conversations, with hashed look-ups.
#[derive(Debug)]
pub struct Directory {
    conversations: Vec<Conversation>,
    by_name: HashMap<Arc<str>, usize>,
    /// By `user` of the addresses: what consent is about.
    by_user: Places,
    /// By the scoped ids in the config.
    by_scoped_id: Places,
    /// By what events taught. Behind a lock, so that a shared directory can learn.
    learned: RwLock<Places>,
}

/// A person's place in a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// The conversation.
    pub conversation: &'a Conversation,
    /// The person's index in its participants.
    pub participant: usize,
}

impl<'a> Seat<'a> {
    /// The person's own entry.
    pub fn own(&self) -> Option<&'a Participant> {
        self.conversation.participants.get(self.participant)
    }

    /// Everybody else in the conversation, in the config's order.
    pub fn others(&self) -> impl Iterator<Item = &'a Participant> + use<'a> {
        let own = self.participant;
        self.conversation
            .participants
            .iter()
            .enumerate()
            .filter(move |(index, _)| *index != own)
            .map(|(_, participant)| participant)
    }
}

impl Directory {
    /// Builds the look-ups. 10,000 conversations of three take some 10 ms.
    ///
    /// # Errors
    /// [`DirectoryError`] if a name or a person occurs twice.
    pub fn new(conversations: Vec<Conversation>) -> Result<Self, DirectoryError> {
        let mut by_name = HashMap::with_capacity(conversations.len());
        let mut by_user = Places::new();
        let mut by_scoped_id = Places::new();
        for (index, conversation) in conversations.iter().enumerate() {
            if by_name.insert(Arc::clone(&conversation.name), index).is_some() {
                return Err(DirectoryError::NameTwice(Arc::clone(&conversation.name)));
            }
            for (participant, person) in conversation.participants.iter().enumerate() {
                let place = Place { conversation: index, participant };
                let account = &person.address.account;
                let taken =
                    insert(&mut by_user, account, &person.address.user, place).or_else(|| {
                        insert(&mut by_scoped_id, account, person.scoped_id.as_ref()?, place)
                    });
                if let Some(taken) = taken {
                    let first = conversations.get(taken.conversation).unwrap_or(conversation);
                    return Err(DirectoryError::PersonTwice {
                        account: account.clone(),
                        first: Arc::clone(&first.name),
                        second: Arc::clone(&conversation.name),
                    });
                }
            }
        }
        Ok(Self { conversations, by_name, by_user, by_scoped_id, learned: RwLock::default() })
    }

    /// All conversations, in the config's order.
    pub fn conversations(&self) -> &[Conversation] {
        &self.conversations
    }

    /// The conversation of that name.
    pub fn conversation(&self, name: &str) -> Option<&Conversation> {
        self.conversations.get(*self.by_name.get(name)?)
    }

    /// Finds a person by `user`, else by `scoped_id`: in the config first, then in what was learned.
    pub fn find(&self, account: &AccountRef, person: &Person) -> Option<Seat<'_>> {
        let seat = |place| self.seat(place);
        let scoped = person.scoped_id.as_ref();
        lookup(&self.by_user, account, &person.user)
            // Where there is no plainer id, `user` is the BSUID itself.
            .or_else(|| lookup(&self.by_scoped_id, account, &person.user))
            .or_else(|| scoped.and_then(|id| self.configured(account, id)))
            .or_else(|| {
                let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
                lookup(&learned, account, &person.user)
                    .or_else(|| scoped.and_then(|id| lookup(&learned, account, id)))
            })
            .and_then(seat)
    }

    /// Learns from an event that carries both of a known person's ids. Answers with what is new, to be remembered;
    /// nothing in the common case that there is nothing to learn.
    pub fn learn(&self, account: &AccountRef, person: &Person) -> Option<Binding> {
        let scoped = person.scoped_id.as_ref().filter(|scoped| **scoped != person.user)?;
        let own = self.find(account, person)?.own()?;
        let id = [scoped, &person.user].into_iter().find(|id| !self.knows(account, id))?;
        let binding = Binding { id: id.clone(), address: own.address.clone() };
        self.remember(&binding).then_some(binding)
    }

    /// Takes over a binding that was learned before (from the store at start, from the last directory on a reload,
    /// or from a `system` event that says that an id changed). False, and without effect, if its address stands in
    /// no conversation any more.
    pub fn remember(&self, binding: &Binding) -> bool {
        let account = &binding.address.account;
        let Some(place) = lookup(&self.by_user, account, &binding.address.user) else {
            return false;
        };
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        learned.entry(account.clone()).or_default().insert(binding.id.clone(), place);
        true
    }

    /// True if the person may hear that conversation: asked by deliver again before every request (G6).
    pub fn is_member(&self, conversation: &str, address: &Address) -> bool {
        let place = lookup(&self.by_user, &address.account, &address.user);
        place.is_some_and(|place| self.by_name.get(conversation) == Some(&place.conversation))
    }

    /// The seat of an address as the config has it.
    pub fn seat_of(&self, address: &Address) -> Option<Seat<'_>> {
        self.seat(lookup(&self.by_user, &address.account, &address.user)?)
    }

    fn seat(&self, place: Place) -> Option<Seat<'_>> {
        let conversation = self.conversations.get(place.conversation)?;
        Some(Seat { conversation, participant: place.participant })
    }

    fn configured(&self, account: &AccountRef, id: &Redacted<String>) -> Option<Place> {
        lookup(&self.by_scoped_id, account, id).or_else(|| lookup(&self.by_user, account, id))
    }

    fn knows(&self, account: &AccountRef, id: &Redacted<String>) -> bool {
        self.configured(account, id).is_some() || {
            let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
            lookup(&learned, account, id).is_some()
        }
    }
}

fn lookup(places: &Places, account: &AccountRef, id: &Redacted<String>) -> Option<Place> {
    places.get(account)?.get(id).copied()
}

/// The place that had the id before, if any.
fn insert(
    places: &mut Places,
    account: &AccountRef,
    id: &Redacted<String>,
    place: Place,
) -> Option<Place> {
    // The account is cloned once for all its people.
    match places.get_mut(account) {
        Some(own) => own.insert(id.clone(), place),
        None => places.entry(account.clone()).or_default().insert(id.clone(), place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant(address: &str, scoped_id: Option<&str>) -> Participant {
        let address = Address::parse(address).unwrap();
        let scoped_id = scoped_id.map(Redacted::from);
        Participant { address, name: None, scoped_id, language: None }
    }

    fn conversation(name: &str, addresses: &[&str]) -> Conversation {
        let participants = addresses.iter().map(|address| participant(address, None)).collect();
        Conversation {
            name: name.into(),
            participants,
            attribution: Attribution::Auto,
            receipts: true,
        }
    }

    fn directory() -> Directory {
        let mut office = conversation("office", &["whatsapp/1/300", "messenger/2/400"]);
        office.participants.push(participant("whatsapp/1/301", Some("US.301")));
        let home = conversation("home", &["whatsapp/1/100", "instagram/3/200"]);
        Directory::new(vec![home, office]).unwrap()
    }

    fn whatsapp() -> AccountRef {
        Address::parse("whatsapp/1/0").unwrap().account
    }

    fn person(user: &str, scoped_id: Option<&str>) -> Person {
        Person { scoped_id: scoped_id.map(Redacted::from), ..Person::new(user) }
    }

    fn found(directory: &Directory, person: &Person) -> Option<(String, usize)> {
        let seat = directory.find(&whatsapp(), person)?;
        Some((seat.conversation.name.to_string(), seat.participant))
    }

    #[test]
    fn a_person_is_found_by_either_id_and_hears_the_others() {
        let directory = directory();
        let at = |name: &str, index| Some((name.to_owned(), index));
        assert_eq!(found(&directory, &person("100", None)), at("home", 0));
        assert_eq!(found(&directory, &person("999", Some("US.301"))), at("office", 2));
        // Somebody without a number comes with the scoped id as their plainest.
        assert_eq!(found(&directory, &person("US.301", Some("US.301"))), at("office", 2));
        assert_eq!(found(&directory, &person("999", Some("US.9"))), None);
        // The same digits on another account are somebody else.
        assert_eq!(found(&directory, &person("200", None)), None);

        let seat = directory.find(&whatsapp(), &person("300", None)).unwrap();
        let others: Vec<_> = seat.others().map(|other| other.address.to_exposed_string()).collect();
        assert_eq!(others, ["messenger/2/400", "whatsapp/1/301"]);
        assert_eq!(seat.own().unwrap().address.user.as_exposed_str(), "300");
    }

    #[test]
    fn an_event_with_both_ids_teaches_the_other_one_once() {
        let directory = directory();
        assert_eq!(directory.learn(&whatsapp(), &person("100", None)), None);
        assert_eq!(directory.learn(&whatsapp(), &person("999", Some("US.9"))), None);
        let both = person("100", Some("US.100"));
        let binding = directory.learn(&whatsapp(), &both).unwrap();
        assert_eq!(binding.id.as_exposed_str(), "US.100");
        assert_eq!(binding.address.to_exposed_string(), "whatsapp/1/100");
        assert_eq!(directory.learn(&whatsapp(), &both), None);
        assert_eq!(found(&directory, &person("US.100", None)).unwrap().0, "home");
        assert_eq!(found(&directory, &person("777", Some("US.100"))).unwrap().0, "home");
    }

    #[test]
    fn a_number_is_learned_for_somebody_who_is_configured_by_scoped_id() {
        let directory =
            Directory::new(vec![conversation("a", &["whatsapp/1/US.5", "messenger/2/6"])]).unwrap();
        let binding = directory.learn(&whatsapp(), &person("500", Some("US.5"))).unwrap();
        assert_eq!(binding.id.as_exposed_str(), "500");
        assert_eq!(found(&directory, &person("500", None)).unwrap().0, "a");
    }

    #[test]
    fn a_binding_is_remembered_only_while_its_address_takes_part() {
        let directory = directory();
        let binding =
            |address| Binding { id: "US.1".into(), address: Address::parse(address).unwrap() };
        assert!(directory.remember(&binding("whatsapp/1/300")));
        assert_eq!(found(&directory, &person("US.1", None)).unwrap().0, "office");
        assert!(!directory.remember(&binding("whatsapp/1/999")));
    }

    #[test]
    fn g6_what_was_learned_gives_no_membership_of_its_own() {
        let directory = directory();
        directory.learn(&whatsapp(), &person("100", Some("US.100"))).unwrap();
        let is_member = |conversation, address| {
            directory.is_member(conversation, &Address::parse(address).unwrap())
        };
        assert!(is_member("home", "whatsapp/1/100"));
        assert!(!is_member("office", "whatsapp/1/100"));
        assert!(!is_member("home", "whatsapp/1/US.100"));
        assert!(!is_member("home", "whatsapp/2/100"));
        assert!(!is_member("gone", "whatsapp/1/100"));
    }

    #[test]
    fn a_name_or_a_person_that_occurs_twice_is_refused() {
        let twice =
            vec![conversation("a", &["whatsapp/1/2"]), conversation("a", &["whatsapp/1/3"])];
        assert_eq!(Directory::new(twice).unwrap_err(), DirectoryError::NameTwice("a".into()));
        let both = vec![conversation("a", &["whatsapp/1/2"]), conversation("b", &["whatsapp/1/2"])];
        let error = Directory::new(both).unwrap_err();
        let (account, first, second) = (whatsapp(), "a".into(), "b".into());
        assert_eq!(error, DirectoryError::PersonTwice { account, first, second });
        // The person's id is no part of the message.
        assert!(!error.to_string().contains("whatsapp/1/2"), "{error}");
    }

    #[test]
    fn ten_thousand_conversations_of_three_are_looked_up_by_hash() {
        let conversations = (0..10_000).map(|n| {
            let addresses =
                [format!("whatsapp/1/{n}"), format!("instagram/3/{n}"), format!("messenger/2/{n}")];
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            conversation(&format!("c{n}"), &addresses)
        });
        let directory = Directory::new(conversations.collect()).unwrap();
        for n in [0, 5_000, 9_999] {
            let seat = directory.find(&whatsapp(), &person(&n.to_string(), None)).unwrap();
            assert_eq!(*seat.conversation.name, format!("c{n}"));
            assert_eq!(seat.others().count(), 2);
        }
    }
}
