//! The errors that the platforms' documentation names, to be ordered by code.
//!
//! Code, subcode, HTTP status, the words, and what WhatsApp says in `error_data.details`. The status of Messenger's and
//! Instagram's is not documented for each; they mix 400, 403 and 500. Source: platform facts, section 5.

use crate::config::Kind;
use crate::fault::GraphFault;

type Row = (u16, u64, Option<u64>, &'static str, &'static str);

const LATER: &str = "An unexpected error has occurred. Please retry your request later.";
const EXPIRED: &str = "Error validating access token: Session has expired on Saturday, 21-Nov-26 10:00:00 PST. The \
                       current time is Saturday, 21-Nov-26 11:02:13 PST.";
const RATE: &str = "Calls to this api have exceeded the rate limit.";
const OUTSIDE: &str = "This message is sent outside of allowed window.";
const WAIT: &str = "Wait a bit and try again. For more info, please refer to \
                    https://developers.facebook.com/docs/graph-api/overview/rate-limiting.";

#[rustfmt::skip]
const WHATSAPP: &[Row] = &[
    (401, 0, None, "AuthException", "We were unable to authenticate the app user."),
    (400, 1, None, "An unknown error occurred", ""),
    (503, 2, None, LATER, ""),
    (500, 3, None, "Application does not have the capability to make this API call.", ""),
    (400, 4, None, "Application request limit reached", ""),
    (403, 10, None, "Application does not have permission for this action", ""),
    (400, 33, None, "Parameter value is not valid", "The business phone number has been deleted."),
    (400, 100, None, "Invalid parameter", "Parameter value is not valid"),
    (400, 100, Some(33), "Unsupported post request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.", ""),
    (401, 190, None, "Invalid OAuth access token - Cannot parse access token", ""),
    (401, 190, Some(463), EXPIRED, ""),
    (403, 200, None, "You do not have the necessary permissions to send messages on behalf of this WhatsApp Business Account", ""),
    (403, 368, None, "Temporarily blocked for policies violations", "The WhatsApp Business Account associated with the app has been restricted or disabled for violating a platform policy."),
    (400, 470, None, "Message failed to send because more than 24 hours have passed since the customer last replied to this number", ""),
    (400, 80_007, None, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    (400, 80_008, None, WAIT, ""),
    (400, 130_429, None, "Rate limit hit", "Cloud API message throughput has been reached."),
    (400, 130_472, None, "User's number is part of an experiment", "Failed to send message because this user's phone number is part of an experiment"),
    (403, 130_497, None, "Business account is restricted from messaging users in this country.", "Business account is restricted from messaging users in this country."),
    (500, 131_000, None, "Something went wrong", "Message failed to send due to an unknown error."),
    (403, 131_005, None, "Access denied", "Permission is either not granted or has been removed."),
    (400, 131_008, None, "Required parameter is missing", "The request is missing a required parameter."),
    (400, 131_009, None, "Parameter value is not valid", "One or more parameter values are invalid."),
    (500, 131_016, None, "Service unavailable", "A service is temporarily unavailable."),
    (400, 131_021, None, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    (400, 131_026, None, "Message Undeliverable", "Unable to deliver message."),
    (400, 131_030, None, "Recipient phone number not in allowed list", "Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again."),
    (403, 131_031, None, "Business Account locked", "Account has been locked"),
    (400, 131_037, None, "WhatsApp provided number needs display name approval before message can be sent.", "The display name of this number has not been approved."),
    (400, 131_042, None, "Business eligibility payment issue", "There was an error related to your payment method."),
    (500, 131_045, None, "Incorrect certificate", "Message failed to send due to a phone number registration error."),
    (400, 131_047, None, "Re-engagement message", "More than 24 hours have passed since the recipient last replied to the sender number."),
    (400, 131_048, None, "Spam rate limit hit", "Message failed to send because there are restrictions on how many messages can be sent from this phone number. This may be because too many previous messages were blocked or flagged as spam."),
    (400, 131_049, None, "Meta chose not to deliver.", "This message was not delivered to maintain healthy ecosystem engagement."),
    (400, 131_050, None, "User has stopped receipt of marketing messages.", "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business."),
    (400, 131_051, None, "Unsupported message type", "Unsupported message type."),
    (400, 131_052, None, "Media download error", "Unable to download the media sent by the user."),
    (400, 131_053, None, "Media upload error", "Unable to upload the media used in the message."),
    (400, 131_056, None, "(Business Account, Consumer Account) pair rate limit hit", "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time."),
    (500, 131_057, None, "Account in maintenance mode", "Business Account is in maintenance mode"),
    (400, 131_062, None, "Business-scoped User ID (BSUID) recipients are not supported for this message.", "You can only send authentication messages to recipients' phone numbers, not their business-scoped user IDs."),
    (400, 132_000, None, "Number of parameters does not match the expected number of params", "The number of variable parameter values included in the request did not match the number of variable parameters defined in the template."),
    (404, 132_001, None, "Template name does not exist in the translation", "The template does not exist in the specified language or the template has not been approved."),
    (400, 132_012, None, "Parameter format does not match format in the created template", "Variable parameter values formatted incorrectly."),
    (400, 132_015, None, "Template is Paused", "Template is paused due to low quality so it cannot be sent in a template message."),
    (400, 132_016, None, "Template is Disabled", "Template has been paused too many times due to low quality and is now permanently disabled."),
    (503, 133_004, None, "Server Temporarily Unavailable", "Server is temporarily unavailable."),
    (400, 133_010, None, "Account not registered", "Phone number not registered on the WhatsApp Business Platform."),
    (400, 133_016, None, "Account register deregister rate limit exceeded", "Registration or Deregistration failed because there were too many attempts for this phone number in a short period of time"),
    (400, 135_000, None, "Generic user error", "Message failed to send because of an unknown error with your request parameters."),
    (500, 2_494_100, None, "Phone number is undergoing maintenance", "The phone number is being moved; try again later."),
];

#[rustfmt::skip]
const MESSENGER: &[Row] = &[
    (500, 1, None, "An unknown error occurred", ""),
    (500, 2, None, LATER, ""),
    (403, 4, None, "Application request limit reached", ""),
    (403, 10, None, "Application does not have permission for this action", ""),
    (400, 10, Some(1_893_063), "You are temporarily restricted from sending messages.", ""),
    (400, 10, Some(2_018_065), "This message is sent outside of allowed window. You need News Messaging permission to be able to do it.", ""),
    (400, 10, Some(2_018_108), "They can't receive your messages right now.", ""),
    (400, 10, Some(2_018_278), "This message is sent outside of allowed window. Learn more about the new policy here: https://developers.facebook.com/docs/messenger-platform/policy-overview", ""),
    (403, 17, None, "User request limit reached", ""),
    (403, 32, None, "Page request limit reached", ""),
    (400, 100, None, "Invalid parameter", ""),
    (400, 100, Some(33), "Unsupported post request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.", ""),
    (400, 100, Some(2_018_001), "No matching user found", ""),
    (400, 100, Some(2_018_008), "Failed to fetch the file from the url", ""),
    (400, 100, Some(2_018_014), "Cannot send both message and state at the same time.", ""),
    (400, 100, Some(2_018_047), "Upload attachment failure.", ""),
    (400, 100, Some(2_018_074), "Possible invalid ID or you do not own the attachment.", ""),
    (400, 100, Some(2_018_109), "Attachment size exceeds allowable limit", ""),
    (400, 100, Some(2_018_164), "The page has no right to send this message.", ""),
    (400, 100, Some(2_018_294), "Video upload timed out or video is corrupted.", ""),
    (400, 102, None, "Session key invalid or no longer valid", ""),
    (400, 190, None, "Invalid OAuth access token.", ""),
    (400, 190, Some(458), "Error validating access token: The user has not authorized application 1500000000000001.", ""),
    (400, 190, Some(459), "Error validating access token: The user is enrolled in a blocking, logged-in checkpoint.", ""),
    (400, 190, Some(460), "Error validating access token: The session has been invalidated because the user changed their password or Facebook has changed the session for security reasons.", ""),
    (400, 190, Some(463), EXPIRED, ""),
    (400, 190, Some(467), "Error validating access token: This may be because the user logged out or may be due to a system error.", ""),
    (403, 200, Some(2_018_028), "Cannot message users who are not admins, developers or testers of the app until pages_messaging permission is reviewed and the app is live.", ""),
    (400, 200, Some(1_545_041), "Message Not Sent: This person isn't available right now.", ""),
    (403, 230, None, "Permissions disallow message to user", ""),
    (403, 341, None, "Application limit reached", ""),
    (403, 368, None, "The action attempted has been deemed abusive or is otherwise disallowed", ""),
    (400, 551, None, "This person isn't available right now.", ""),
    (400, 551, Some(1_545_041), "This person isn't available right now.", ""),
    (400, 613, None, RATE, ""),
    (400, 613, Some(1_996), RATE, ""),
    (400, 613, Some(2_018_338), "Warning! You are engaging in behavior that may be considered bothersome or abusive by users.", ""),
    (500, 1_200, None, "Temporary send message failure. Please try again later.", ""),
    (400, 2_022, None, "The page is restricted from sending messages.", ""),
    (400, 10_900, None, "Activity already replied to", ""),
    (400, 10_904, None, "The page has messages disabled in the settings", ""),
    (400, 80_001, None, WAIT, ""),
    (400, 80_006, None, WAIT, ""),
    (400, 2_018_300, None, "Message failed to send because another app is controlling this thread now.", ""),
    (400, 2_018_321, None, "The chat is currently controlled by Messenger while the user is in an automated question and answer flow. Please wait for the flow to finish before trying again.", ""),
    (400, 9_000_001, None, "This Message has been deleted by the user or the business.", ""),
];

#[rustfmt::skip]
const INSTAGRAM: &[Row] = &[
    (500, 1, None, "An unknown error occurred", ""),
    (500, 2, None, LATER, ""),
    (403, 10, None, "Application does not have permission for this action", ""),
    (403, 10, Some(2_534_022), OUTSIDE, ""),
    (403, 10, Some(2_534_077), "Cannot verify the connection between the IG account, the logged in user and the page. Please try reconnecting or verify if the user needs 2-factor authentication.", ""),
    (400, 100, None, "Invalid parameter", ""),
    (400, 100, Some(33), "Unsupported post request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.", ""),
    (400, 100, Some(2_534_013), "The page is not linked to an Instagram account", ""),
    (400, 100, Some(2_534_014), "No matching Instagram user", ""),
    (400, 100, Some(2_534_015), "Invalid message data", ""),
    (400, 100, Some(2_534_025), "The comment is invalid for a private reply", ""),
    (400, 100, Some(2_534_029), "The business has been blocked from sending messages via the IG Messaging API", ""),
    (400, 100, Some(2_534_037), "The action is invalid since it's not the thread owner.", ""),
    (400, 190, None, "Invalid OAuth access token.", ""),
    (400, 190, Some(463), EXPIRED, ""),
    (403, 200, Some(2_534_041), "The account owner has disabled access to instagram direct messages.", ""),
    (403, 368, None, "The action attempted has been deemed abusive or is otherwise disallowed", ""),
    (400, 551, None, "This person isn't receiving messages from you right now.", ""),
    (400, 613, Some(2_534_040), RATE, ""),
    (400, 9_007, Some(2_207_027), "Media ID is not available", ""),
    (400, 36_103, None, "This IG account is not eligible for API yet", ""),
    (400, 80_002, None, WAIT, ""),
];

/// The errors of one platform that the documentation names.
#[must_use]
pub fn known_errors(kind: Kind) -> Vec<GraphFault> {
    let rows = match kind {
        Kind::WhatsApp => WHATSAPP,
        Kind::Messenger => MESSENGER,
        Kind::Instagram => INSTAGRAM,
    };
    rows.iter().map(fault).collect()
}

fn fault(&(status, code, subcode, words, details): &Row) -> GraphFault {
    // These come without their number in front, as the real ones do.
    let bare = matches!(code, 0 | 2 | 190 | 470 | 36_103 | 9_007) || subcode == Some(33);
    let bare = bare || (code == 1 && status == 500);
    GraphFault {
        status,
        code,
        subcode,
        message: if bare { words.to_owned() } else { format!("(#{code}) {words}") },
        transient: matches!(code, 2 | 4 | 1_200).then_some(true),
        details: (!details.is_empty()).then(|| details.to_owned()),
        regain_minutes: None,
    }
}
