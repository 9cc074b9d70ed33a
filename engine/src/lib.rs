//! The engine: one deterministic state machine that holds every account, series, order book and escrow of the exchange.
//!
//! Architecture invariant: no clock, thread, random number, float, environment or I/O, and no iteration over a hash
//! table: the same commands give the same event bytes in every build.
#![forbid(unsafe_code)]

mod amend;
mod audit;
mod band;
mod bank_refs;
mod book;
mod bust;
mod client_ids;
mod control;
mod events;
mod exchange;
mod exposure;
mod extended;
mod fees;
mod floor;
mod issuance;
mod jobs;
mod ledger;
mod levels;
mod matching;
pub mod oracle;
mod order;
mod party;
mod place;
mod proposals;
mod quotes;
mod reference;
mod refusal;
mod room;
mod rules;
mod self_trade;
mod series;
mod session;
mod snapshot;
mod stops;
mod terms;
mod views;

pub use audit::{BrokenLaw, Cover, RestingOrder};
pub use book::{Book, BookFill, BookOrder, BookSize, Incoming, NoSuchOrder, Rest};
pub use events::{EVENTS_MAX, Events};
pub use exchange::Exchange;
pub use ledger::Balance;
pub use matching::FILLS_MAX;
pub use room::{Fill, Table};
pub use rules::RULES_VERSION;
pub use session::WINDOW;
pub use snapshot::{BadSnapshot, PutSection, Restoring, SECTION_BYTES_MAX, SectionKind};
pub use views::SeriesView;
