//! The vocabulary of the exchange: units, commands, events, reject reasons, frames, and who may say what.
//!
//! Architecture invariant: nothing here reads a clock, a file or a socket, holds state between calls, or knows a float.

// Frames are viewed in place, so the wire's byte order must be the machine's.
#[cfg(target_endian = "big")]
compile_error!("frames are little-endian views: this machine is big-endian");

mod audience;
mod book;
mod choice;
mod command;
mod event;
mod frame;
mod market;
mod meta;
mod packet;
mod quote;
mod reject;
mod role;
mod session;
pub mod text;
mod transfer;
mod units;

pub use audience::Audience;
pub use book::{Book, BookError, IdHasher, Level, book_hash};
pub use choice::*;
pub use command::*;
pub use event::*;
pub use frame::*;
pub use market::*;
pub use meta::{Field, Message, Shape, WireType};
pub use packet::*;
pub use quote::QuoteLeg;
pub use reject::RejectReason;
pub use role::{HouseOnly, Rule, is_urgent, may_need_approval, needs_approval, rule};
pub use session::*;
pub use transfer::{Bucket, Place, Transfer, Transfers};
pub use units::*;
