//! The doors, each thin: read the request, ask `access`, ask `tokens`, write the answer.

mod answer;
mod credentials;
mod entrance;
mod error;
mod listener;
mod management;
mod parameters;
mod token;
mod unread;

pub use entrance::Doors;
pub use listener::{Listener, ListenerError};
pub use management::Management;
