//! Accounts and conversations as they are now; a reload swaps them whole.

use crate::config::{Config, Egress, OperatorMessages, Order, Secret, Uncertain, WindowTemplate};
use interline_bridge_api::{Bridge, Capabilities, ChatKind};
use interline_envelope::{AccountRef, Platform};
use interline_relay::{Budgets, Directory, DirectoryError};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One account with everything that talking for it takes.
pub struct Account {
    /// Which.
    pub of: AccountRef,
    /// Its codec.
    pub bridge: Arc<dyn Bridge>,
    /// Where its platform's API stands.
    pub api_url: String,
    /// The id in the send path.
    pub send_as: String,
    /// The token; absent where requests leave through a queue.
    pub access_token: Option<Secret>,
    /// What its webhooks are signed with.
    pub app_secret: Option<Secret>,
    /// What answers `hub.challenge`.
    pub verify_token: Option<Secret>,
    /// How its requests leave.
    pub egress: Egress,
    /// What to do with sends of unknown fate.
    pub uncertain: Uncertain,
    /// What must have happened before the next send of a lane.
    pub order: Order,
    /// How fast it may send.
    pub budgets: Budgets,
    /// What invites a person to write again whose window is closed.
    pub window_template: Option<WindowTemplate>,
    /// What operators call it.
    pub name: Option<String>,
    /// Whether what somebody writes by hand for it is heard.
    pub operator_messages: OperatorMessages,
}

impl Account {
    /// What its people can be shown, by the way that its requests leave.
    pub fn capabilities(&self, chat: ChatKind) -> Cow<'_, Capabilities> {
        let own = self.bridge.capabilities(chat);
        match self.egress {
            Egress::Http => Cow::Borrowed(own),
            // Bytes do not go through a queue: the platform fetches media from an address.
            Egress::Queue => {
                let mut without_upload = own.clone();
                without_upload.media.iter_mut().for_each(|rule| rule.by_upload = false);
                Cow::Owned(without_upload)
            }
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("of", &self.of).finish_non_exhaustive()
    }
}

/// A consistent picture of the config.
#[derive(Debug)]
pub struct Live {
    /// The config.
    pub config: Config,
    /// Who hears whom.
    pub directory: Directory,
    accounts: HashMap<AccountRef, Arc<Account>>,
    bridges: Bridges,
}

struct Bridges(Vec<Arc<dyn Bridge>>);

impl std::fmt::Debug for Bridges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|bridge| &bridge.manifest().id)).finish()
    }
}

impl Live {
    /// Builds the look-ups of a checked config.
    ///
    /// # Errors
    /// [`DirectoryError`] if conversations contradict each other; a checked config has none of that.
    pub fn new(config: Config) -> Result<Self, DirectoryError> {
        let directory = Directory::new(config.conversations.clone())?;
        let bridges = crate::bridges::all();
        let mut accounts = HashMap::new();
        for account in &config.accounts {
            let Some(bridge) =
                bridges.iter().find(|bridge| bridge.manifest().id == account.account.platform)
            else {
                continue;
            };
            let api_url =
                account.api_url.clone().unwrap_or_else(|| bridge.manifest().api_url.to_owned());
            accounts.insert(
                account.account.clone(),
                Arc::new(Account {
                    of: account.account.clone(),
                    bridge: bridge.clone(),
                    api_url,
                    send_as: account.send_as.clone(),
                    access_token: account.access_token.clone(),
                    app_secret: account.app_secret.clone(),
                    verify_token: account.verify_token.clone(),
                    egress: account.egress,
                    uncertain: account.uncertain,
                    order: account.order,
                    budgets: account.pace.over(bridge.manifest().budgets),
                    window_template: account.window_template.clone(),
                    name: account.name.clone(),
                    operator_messages: account.operator_messages,
                }),
            );
        }
        Ok(Self { config, directory, accounts, bridges: Bridges(bridges) })
    }

    /// One account.
    pub fn account(&self, of: &AccountRef) -> Option<Arc<Account>> {
        self.accounts.get(of).cloned()
    }

    /// All accounts of a platform.
    pub fn accounts_of<'a>(&'a self, platform: &'a str) -> impl Iterator<Item = &'a Arc<Account>> {
        self.accounts.values().filter(move |account| account.of.platform.as_str() == platform)
    }

    /// All accounts, in the order of the config.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.config.accounts.iter().filter_map(|account| self.accounts.get(&account.account))
    }

    /// A codec by its platform.
    pub fn bridge(&self, platform: &Platform) -> Option<&Arc<dyn Bridge>> {
        self.bridges.0.iter().find(|bridge| bridge.manifest().id == *platform)
    }

    /// The codecs of the platforms that have an account.
    pub fn bridges_in_use(&self) -> Vec<Arc<dyn Bridge>> {
        let used = |bridge: &&Arc<dyn Bridge>| {
            self.accounts_of(bridge.manifest().id.as_str()).next().is_some()
        };
        self.bridges.0.iter().filter(used).cloned().collect()
    }
}

/// Everybody's view of the current [`Live`].
#[derive(Clone, Debug)]
pub struct LiveHandle(Arc<watch::Sender<Arc<Live>>>);

impl LiveHandle {
    /// Starts with this picture.
    pub fn new(live: Live) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(live))))
    }

    /// The picture as it is now.
    pub fn get(&self) -> Arc<Live> {
        self.0.borrow().clone()
    }

    /// Swaps it.
    pub fn replace(&self, live: Live) {
        self.0.send_replace(Arc::new(live));
    }
}
