//! The one table of error codes. PLATFORMS.md section 5; where that and `ERROR_CLASSES.json` differ (131030), the
//! latter holds: the number is not in a test account's list, so the person cannot be reached, and the channel is up.
//!
//! Codes and texts are Meta's; the classes are our reading of them.

use interline_bridge_api::{Certainty, Class, Failure, Scope};
use std::time::Duration;

/// Which of the platforms answered: the same code means different things on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// WhatsApp Cloud API: the code decides, subcodes hardly occur.
    WhatsApp,
    /// Messenger: code and subcode.
    Messenger,
    /// Instagram, through either login: code and subcode.
    Instagram,
}

/// Which networks a row is about.
#[derive(Clone, Copy)]
enum On {
    Every,
    WhatsApp,
    Messenger,
    Instagram,
    /// Messenger and Instagram.
    Messaging,
}

impl On {
    const fn covers(self, network: Network) -> bool {
        match self {
            Self::Every => true,
            Self::WhatsApp => matches!(network, Network::WhatsApp),
            Self::Messenger => matches!(network, Network::Messenger),
            Self::Instagram => matches!(network, Network::Instagram),
            Self::Messaging => matches!(network, Network::Messenger | Network::Instagram),
        }
    }
}

/// Which subcodes a row is about.
#[derive(Clone, Copy)]
enum Sub {
    Any,
    /// Only where there is none.
    None,
    Is(i64),
}

struct Row {
    on: On,
    /// First and last code.
    codes: (i64, i64),
    sub: Sub,
    class: Class,
    scope: Scope,
}

const fn row(on: On, code: i64, sub: Sub, class: Class, scope: Scope) -> Row {
    Row { on, codes: (code, code), sub, class, scope }
}

/// The first row that fits counts: rows with a subcode stand before the code's own.
#[rustfmt::skip]
const ROWS: &[Row] = {
    use Class::{Blocked, Config, Handover, Permanent, Reauth, Recipient, Retryable, Throttle, Window};
    use On::{Every, Instagram, Messaging, Messenger, WhatsApp};
    use Scope::{Account, Pair, Request};
    use Sub::{Any, Is};
    &[
        // Reauth
        row(Every, 190, Any, Reauth, Account),
        row(WhatsApp, 0, Any, Reauth, Account),
        row(Messaging, 102, Any, Reauth, Account),
        row(Instagram, 10, Is(2_534_077), Reauth, Account),
        row(Instagram, 200, Is(2_534_041), Reauth, Account),

        // Window
        row(WhatsApp, 131_047, Any, Window, Pair),
        row(WhatsApp, 470, Any, Window, Pair),
        row(Messenger, 10, Is(2_018_278), Window, Pair),
        row(Messenger, 10, Is(2_018_065), Window, Pair),
        row(Instagram, 10, Is(2_534_022), Window, Pair),

        // Recipient
        row(WhatsApp, 131_026, Any, Recipient, Pair),
        row(WhatsApp, 131_030, Any, Recipient, Pair),
        row(WhatsApp, 131_050, Any, Recipient, Pair),
        row(WhatsApp, 130_472, Any, Recipient, Pair),
        row(Messaging, 551, Any, Recipient, Pair),
        row(Messenger, 200, Is(1_545_041), Recipient, Pair),
        row(Messenger, 10, Is(2_018_108), Recipient, Pair),
        row(Messenger, 100, Is(2_018_001), Recipient, Pair),
        row(Messenger, 230, Any, Recipient, Pair),
        row(Instagram, 100, Is(2_534_014), Recipient, Pair),

        // Blocked
        row(Every, 368, Any, Blocked, Account),
        row(WhatsApp, 131_031, Any, Blocked, Account),
        row(Messenger, 10, Is(1_893_063), Blocked, Account),
        row(Messenger, 2022, Any, Blocked, Account),
        row(Instagram, 100, Is(2_534_029), Blocked, Account),

        // Handover: the docs' table lists these bare; they come as code, and may come as subcode.
        row(Messenger, 2_018_300, Any, Handover, Pair),
        row(Messenger, 2_018_321, Any, Handover, Pair),
        row(Messenger, 100, Is(2_018_300), Handover, Pair),
        row(Messenger, 100, Is(2_018_321), Handover, Pair),
        row(Instagram, 100, Is(2_534_037), Handover, Pair),

        // Throttle
        row(Every, 4, Any, Throttle, Account),
        row(Every, 80_007, Any, Throttle, Account),
        row(Every, 80_008, Any, Throttle, Account),
        row(WhatsApp, 130_429, Any, Throttle, Account),
        row(WhatsApp, 131_048, Any, Throttle, Account),
        row(WhatsApp, 131_056, Any, Throttle, Pair),
        row(WhatsApp, 133_016, Any, Throttle, Account),
        row(Messaging, 17, Any, Throttle, Account),
        row(Messaging, 32, Any, Throttle, Account),
        row(Messaging, 341, Any, Throttle, Account),
        row(Messaging, 613, Any, Throttle, Account),
        row(Messaging, 80_001, Any, Throttle, Account),
        row(Messaging, 80_002, Any, Throttle, Account),
        row(Messaging, 80_006, Any, Throttle, Account),

        // Permanent, where another row would take the code
        row(Messaging, 1, Is(SENT_ALL_THE_SAME), Permanent, Request),

        // Retryable
        row(Every, 1, Any, Retryable, Request),
        row(Every, 2, Any, Retryable, Request),
        row(WhatsApp, 131_000, Any, Retryable, Request),
        row(WhatsApp, 131_016, Any, Retryable, Request),
        row(WhatsApp, 131_057, Any, Retryable, Account),
        row(WhatsApp, 133_004, Any, Retryable, Request),
        row(WhatsApp, 2_494_100, Any, Retryable, Account),
        row(Messenger, 1200, Any, Retryable, Request),
        row(Messenger, 100, Is(2_018_008), Retryable, Request),
        row(Messenger, 100, Is(2_018_294), Retryable, Request),
        row(Instagram, 9007, Is(2_207_027), Retryable, Request),

        // Config
        row(WhatsApp, 3, Any, Config, Account),
        row(WhatsApp, 10, Any, Config, Account),
        Row { on: WhatsApp, codes: (200, 299), sub: Any, class: Config, scope: Account },
        row(WhatsApp, 33, Any, Config, Account),
        row(Every, 100, Is(33), Config, Request),
        row(WhatsApp, 131_005, Any, Config, Account),
        row(WhatsApp, 131_037, Any, Config, Account),
        row(WhatsApp, 131_042, Any, Config, Account),
        row(WhatsApp, 131_045, Any, Config, Account),
        row(WhatsApp, 132_001, Any, Config, Request),
        row(WhatsApp, 132_015, Any, Config, Request),
        row(WhatsApp, 132_016, Any, Config, Request),
        row(WhatsApp, 133_010, Any, Config, Account),
        // 10 alone is a permission; 10 with a subcode is a window, a person or a block, never this.
        row(Messaging, 10, Sub::None, Config, Account),
        row(Messaging, 200, Is(2_018_028), Config, Account),
        Row { on: Messaging, codes: (200, 299), sub: Sub::None, class: Config, scope: Account },
        row(Messenger, 100, Is(2_018_164), Config, Account),
        row(Messenger, 10_904, Any, Config, Account),
        row(Instagram, 100, Is(2_534_013), Config, Account),
        row(Instagram, 36_103, Any, Config, Account),

        // Permanent
        row(Every, 100, Any, Permanent, Request),
        row(WhatsApp, 131_008, Any, Permanent, Request),
        row(WhatsApp, 131_009, Any, Permanent, Request),
        row(WhatsApp, 131_021, Any, Permanent, Request),
        row(WhatsApp, 131_049, Any, Permanent, Request),
        row(WhatsApp, 131_051, Any, Permanent, Request),
        row(WhatsApp, 131_052, Any, Permanent, Request),
        row(WhatsApp, 131_053, Any, Permanent, Request),
        row(WhatsApp, 131_062, Any, Permanent, Request),
        row(WhatsApp, 132_000, Any, Permanent, Request),
        row(WhatsApp, 132_012, Any, Permanent, Request),
        row(WhatsApp, 135_000, Any, Permanent, Request),
        row(WhatsApp, 130_497, Any, Permanent, Request),
        row(Messenger, 9_000_001, Any, Permanent, Request),
        row(Messenger, 10_900, Any, Permanent, Request),
    ]
};

/// Messenger and Instagram 1/1357046: the messages were sent although an error came back.
const SENT_ALL_THE_SAME: i64 = 1_357_046;

/// WhatsApp 131048 lasts for hours; asking every few seconds lengthens it.
const SPAM_LIMIT_WAIT: Duration = Duration::from_secs(60 * 60);

/// What a Graph error means, whether it came as an answer or as an event (then `http_status` is 0).
///
/// The HTTP status decides only where the code is unknown: codes 3 and 131045 come with 500 and are permanent all
/// the same. An unknown code is retried if the platform calls it transient, or with 5xx; 429 is a throttle; all
/// else is permanent.
pub fn classify(
    network: Network,
    http_status: u16,
    code: i64,
    subcode: Option<i64>,
    is_transient: bool,
) -> Failure {
    let fits = |row: &&Row| {
        row.on.covers(network)
            && (row.codes.0..=row.codes.1).contains(&code)
            && match row.sub {
                Sub::Any => true,
                Sub::None => subcode.is_none(),
                Sub::Is(wanted) => subcode == Some(wanted),
            }
    };
    let (class, scope) = match ROWS.iter().find(fits) {
        Some(row) => (row.class, row.scope),
        None if http_status == 429 => (Class::Throttle, Scope::Account),
        None if is_transient || (500..=599).contains(&http_status) => {
            (Class::Retryable, Scope::Request)
        }
        None => (Class::Permanent, Scope::Request),
    };
    let was_sent = On::Messaging.covers(network) && code == 1 && subcode == Some(SENT_ALL_THE_SAME);
    let is_spam_limit = On::WhatsApp.covers(network) && code == 131_048;
    Failure {
        class,
        scope,
        retry_after: is_spam_limit.then_some(SPAM_LIMIT_WAIT),
        certainty: if was_sent { Certainty::Sent } else { Certainty::NotSent },
        code: Some(code),
        subcode,
        http_status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(network: Network, status: u16, code: i64, subcode: Option<i64>) -> Class {
        classify(network, status, code, subcode, false).class
    }

    #[test]
    fn mistake_9_code_10_is_read_with_its_subcode_and_http_500_does_not_make_3_or_131045_retryable()
    {
        assert_eq!(class(Network::Messenger, 403, 10, None), Class::Config);
        assert_eq!(class(Network::Messenger, 400, 10, Some(2_018_278)), Class::Window);
        assert_eq!(class(Network::Messenger, 400, 10, Some(2_018_108)), Class::Recipient);
        assert_eq!(class(Network::Messenger, 400, 10, Some(1_893_063)), Class::Blocked);
        assert_eq!(class(Network::Messenger, 400, 10, Some(7)), Class::Permanent);
        assert_eq!(class(Network::Instagram, 403, 10, Some(2_534_077)), Class::Reauth);
        assert_eq!(class(Network::WhatsApp, 500, 3, None), Class::Config);
        assert_eq!(class(Network::WhatsApp, 500, 131_045, None), Class::Config);
    }

    #[test]
    fn mistake_20_a_retired_tag_is_permanent_and_never_retried() {
        assert_eq!(class(Network::Messenger, 400, 100, None), Class::Permanent);
    }

    #[test]
    fn an_unknown_code_is_retried_only_if_it_is_transient_or_the_platform_is_down() {
        assert_eq!(class(Network::WhatsApp, 400, 999_999, None), Class::Permanent);
        assert_eq!(class(Network::WhatsApp, 503, 999_999, None), Class::Retryable);
        assert_eq!(class(Network::WhatsApp, 429, 999_999, None), Class::Throttle);
        let transient = classify(Network::Instagram, 400, 999_999, None, true);
        assert_eq!(transient.class, Class::Retryable);
    }

    #[test]
    fn a_pair_limit_stops_one_person_and_an_account_limit_all() {
        let scope = |code| classify(Network::WhatsApp, 400, code, None, false).scope;
        assert_eq!(scope(131_056), Scope::Pair);
        assert_eq!(scope(130_429), Scope::Account);
        assert_eq!(scope(131_047), Scope::Pair);
        assert_eq!(scope(131_026), Scope::Pair);
        assert_eq!(scope(190), Scope::Account);
        assert_eq!(scope(131_031), Scope::Account);
        assert_eq!(scope(131_009), Scope::Request);
    }

    #[test]
    fn the_spam_limit_asks_for_an_hour() {
        let failure = classify(Network::WhatsApp, 400, 131_048, None, false);
        assert_eq!(failure.retry_after, Some(SPAM_LIMIT_WAIT));
    }
}
