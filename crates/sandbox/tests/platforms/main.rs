//! The simulated platforms, from outside: as the daemon (webhooks in, Send API out) and as a person see them.

#[cfg(test)]
mod delivery;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod messaging;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod time;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod whatsapp;
