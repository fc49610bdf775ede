//! The doors, each thin: read the request, ask `access`, ask `tokens`, write the answer.

mod absence;
mod answer;
mod connection;
mod credentials;
mod doors;
mod entrance;
mod error;
mod head;
mod lifecycle;
mod listener;
mod management;
mod parameter_name;
mod parameters;
mod seconds;
mod token;
mod unread;

pub use doors::Doors;
pub use lifecycle::{Lifecycle, Phase};
pub use listener::{Listener, ListenerError, Serving};
pub use management::Management;
