//! The settlement bridge: the event journal's events in PostgreSQL, each exactly once.
//!
//! It tails the event journal from a process of its own and writes rows and its cursor in one transaction. It knows of
//! the exchange what the journal says; a bridge that is slow or down costs the exchange nothing.
//!
//! Architecture invariant: the bridge does *not* import the engine and computes no fee and no balance anew: it copies
//! what events say and sums it.

mod batch;
mod bridge;
mod connect;
mod cursor;
mod day;
mod encode;
mod fold;
mod progress;
mod projection;
mod projector;
mod reconcile;
mod schema;
mod sink;
mod table;
mod trouble;

pub use batch::Sealed;
pub use bridge::{Bridge, Observer, Settings, Until};
pub use connect::Target;
pub use cursor::{Cursor, CursorFile, Position};
pub use day::{Day, Section};
pub use progress::{Progress, Reading};
pub use projection::Poison;
pub use reconcile::{Difference, Report, reconcile};
pub use schema::{CHANNEL, PUBLICATION, SCHEMA};
pub use trouble::Trouble;
