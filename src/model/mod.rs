//! The nouns everything above shares.

pub mod background;
pub mod caller;
pub mod destination;
pub mod every;
pub mod nearest;
pub mod origin;
pub mod relay;
pub mod stream;
pub mod time;
pub mod trace;

pub use background::background;
pub use caller::{Caller, Interest, Noting};
pub use destination::Destination;
pub use every::Every;
pub use origin::{Origin, TenantKey};
pub use relay::Relay;
pub use stream::Stream;
pub use time::{Clock, Time};
pub use trace::{Draw, Reason, Repairs};
