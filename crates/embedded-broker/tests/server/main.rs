//! The embedded broker, seen through an unmodified AMQP client and through bare sockets.

#[cfg(test)]
mod client;
#[cfg(test)]
mod consuming;
#[cfg(test)]
mod deadletters;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod topology;
#[cfg(test)]
mod wire;
