//! The deliver stage: dispatches in, requests to the platform out, a record of each.
//!
//! One consumer an account; within it a lane for each conversation. The record is the de-duplication and the message
//! map: what it says is done is never sent again.

mod account;
mod answers;
mod arrivals;
mod attempt;
mod bury;
mod context;
mod gate;
mod holding;
mod http;
mod job;
mod lane;
mod notices;
mod observe;
mod order;
mod pace;
mod parking;
mod pausing;
mod plan;
mod reactions;
mod recent;
mod record;
mod references;
mod under_way;
mod waiting;
mod wakes;
mod windows;

pub use account::{DeliverError, Delivering};
pub use answers::Answers;
pub(crate) use answers::{EgressAnswer, EgressRequest, request_message};
pub(crate) use arrivals::Arrival;
pub use arrivals::Arrivals;
pub use context::{Connection, DeliverContext};
pub use gate::PauseReason;
pub(crate) use http::Upload;
pub use http::{Http, Peers, TransportError};
pub use notices::Notices;
pub(crate) use notices::{AUTHOR as NOTICE_AUTHOR, Telling};
pub(crate) use plan::render;
pub use under_way::UnderWay;
pub use wakes::Wakes;
pub(crate) use wakes::expire;
pub(crate) use windows::Announcement;
pub use windows::Windows;
