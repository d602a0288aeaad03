//! What a new config changes, and what of that can be taken over without a restart.

use super::settings::{Account, Config};
use interline_envelope::AccountRef;
use std::collections::HashMap;

/// A part of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `root_key`
    RootKey,
    /// `[broker]`
    Broker,
    /// `[store]`
    Store,
    /// What of `[ingest]` is set up at the start.
    IngestAtStart,
    /// The rest of `[ingest]`.
    Ingest,
    /// `[stages]`
    Stages,
    /// `[relay]`
    Relay,
    /// What of `[deliver]` is set up at the start.
    DeliverAtStart,
    /// The rest of `[deliver]`.
    Deliver,
    /// `[media]`
    Media,
    /// `[shutdown]`
    Shutdown,
    /// `[log]`
    Log,
    /// `[admin]`
    Admin,
    /// `[[account]]`
    Accounts,
    /// `[[conversation]]`
    Conversations,
}

impl Section {
    /// Every part, in the order of the file.
    pub const ALL: [Self; 15] = [
        Self::RootKey,
        Self::Broker,
        Self::Store,
        Self::IngestAtStart,
        Self::Ingest,
        Self::Stages,
        Self::Relay,
        Self::DeliverAtStart,
        Self::Deliver,
        Self::Media,
        Self::Shutdown,
        Self::Log,
        Self::Admin,
        Self::Accounts,
        Self::Conversations,
    ];

    /// As it stands in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RootKey => "root_key",
            Self::Broker => "[broker]",
            Self::Store => "[store]",
            Self::IngestAtStart => "[ingest] listen, requests_in_flight_max",
            Self::Ingest => "[ingest] (the rest)",
            Self::Stages => "[stages]",
            Self::Relay => "[relay]",
            Self::DeliverAtStart => {
                "[deliver] connect_timeout, request_timeout, in_flight_requests_max, prefetch"
            }
            Self::Deliver => "[deliver] (the rest)",
            Self::Media => "[media]",
            Self::Shutdown => "[shutdown]",
            Self::Log => "[log]",
            Self::Admin => "[admin]",
            Self::Accounts => "[[account]]",
            Self::Conversations => "[[conversation]]",
        }
    }

    /// True if a running daemon cannot take the change over.
    pub const fn needs_restart(self) -> bool {
        match self {
            Self::RootKey
            | Self::Broker
            | Self::Store
            | Self::IngestAtStart
            | Self::Stages
            | Self::DeliverAtStart
            | Self::Media
            | Self::Log
            | Self::Admin => true,
            Self::Ingest
            | Self::Relay
            | Self::Deliver
            | Self::Shutdown
            | Self::Accounts
            | Self::Conversations => false,
        }
    }
}

/// The difference of two configs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The parts that differ, in the order of the file.
    pub sections: Vec<Section>,
    /// Accounts that are new.
    pub accounts_added: Vec<AccountRef>,
    /// Accounts that are gone.
    pub accounts_removed: Vec<AccountRef>,
    /// Accounts that stay, with other settings or secrets.
    pub accounts_changed: Vec<AccountRef>,
}

impl Changes {
    /// The changed parts that only a restart takes over.
    pub fn need_restart(&self) -> impl Iterator<Item = Section> {
        self.sections.iter().copied().filter(|section| section.needs_restart())
    }

    /// True if nothing differs.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

impl Config {
    /// Takes back from a running daemon's config what only a restart changes.
    pub fn keep_until_restart(&mut self, running: &Self) {
        self.root_key.clone_from(&running.root_key);
        self.broker.clone_from(&running.broker);
        self.store.clone_from(&running.store);
        self.stages = running.stages;
        self.media.clone_from(&running.media);
        self.log.clone_from(&running.log);
        self.admin.clone_from(&running.admin);
        self.ingest.listen = running.ingest.listen;
        self.ingest.requests_in_flight_max = running.ingest.requests_in_flight_max;
        self.deliver.connect_timeout = running.deliver.connect_timeout;
        self.deliver.request_timeout = running.deliver.request_timeout;
        self.deliver.in_flight_requests_max = running.deliver.in_flight_requests_max;
        self.deliver.prefetch = running.deliver.prefetch;
    }

    /// What changes from `old` to `new`. A secret that reads differently counts as changed.
    pub fn diff_for_reload(old: &Self, new: &Self) -> Changes {
        let mut taken_over = new.clone();
        taken_over.keep_until_restart(old);
        let differs = [
            (Section::RootKey, old.root_key != new.root_key),
            (Section::Broker, old.broker != new.broker),
            (Section::Store, old.store != new.store),
            (Section::IngestAtStart, taken_over.ingest != new.ingest),
            (Section::Ingest, taken_over.ingest != old.ingest),
            (Section::Stages, old.stages != new.stages),
            (Section::Relay, old.relay != new.relay),
            (Section::DeliverAtStart, taken_over.deliver != new.deliver),
            (Section::Deliver, taken_over.deliver != old.deliver),
            (Section::Media, old.media != new.media),
            (Section::Shutdown, old.shutdown != new.shutdown),
            (Section::Log, old.log != new.log),
            (Section::Admin, old.admin != new.admin),
            (Section::Accounts, old.accounts != new.accounts),
            (Section::Conversations, old.conversations != new.conversations),
        ];
        let before = by_account(&old.accounts);
        let after = by_account(&new.accounts);
        Changes {
            sections: differs
                .into_iter()
                .filter(|(_, differs)| *differs)
                .map(|(section, _)| section)
                .collect(),
            accounts_added: missing_in(&new.accounts, &before),
            accounts_removed: missing_in(&old.accounts, &after),
            accounts_changed: new
                .accounts
                .iter()
                .filter(|account| before.get(&account.account).is_some_and(|was| was != account))
                .map(|account| account.account.clone())
                .collect(),
        }
    }
}

fn by_account(accounts: &[Account]) -> HashMap<&AccountRef, &Account> {
    accounts.iter().map(|account| (&account.account, account)).collect()
}

fn missing_in<V>(accounts: &[Account], known: &HashMap<&AccountRef, V>) -> Vec<AccountRef> {
    let absent = accounts.iter().filter(|account| !known.contains_key(&account.account));
    absent.map(|account| account.account.clone()).collect()
}
