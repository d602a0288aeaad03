//! Makes an envelope's content acceptable to a target: what is native stays native, the rest degrades by rule.
//!
//! Called by deliver before the first request of a dispatch. Pure: no clock, no I/O, cannot fail.

mod excerpt;

pub use excerpt::excerpt;

use crate::{Action, FitInput, Form, Loss, Outgoing, Plan};
use interline_envelope::{Part, Redacted};

/// Plans what is to be sent for one dispatch.
///
/// This first form sends texts as they are, and a line for everything else.
pub fn fit(input: &FitInput<'_>) -> Plan {
    let mut plan = Plan { outgoings: Vec::new(), losses: Vec::new(), form: Form::Native };
    for part in &input.envelope.parts {
        let text = if let Part::Text { text, .. } = part {
            text.clone()
        } else {
            plan.form = Form::Placeholder;
            plan.losses.push(Loss::Unreadable);
            let alias = input.author.alias.as_exposed_str();
            Redacted::new(format!("[{alias} sent something that cannot be bridged]"))
        };
        let action = Action::Text { text, link_preview: false, quick_replies: Vec::new() };
        plan.outgoings.push(Outgoing::new(input.to.clone(), action));
    }
    plan
}
