//! The whole state as sections of rows, and back: every table in an order of its own, so that the same state gives the
//! same bytes.
//!
//! Rows are plain numbers, archived by rkyv: what they must mean is judged here, not in their types. Nothing that can be
//! found again from rows is kept: hash tables, price levels, lists' backward links and counts are made anew, and what
//! cannot be made so is compared with them, so that no section can bring in a state that breaks a law.
//!
//! # Cost
//! One piece of at most [`SECTION_BYTES_MAX`] at a time; the tables of a venue are never copied as a whole.

mod gathered;
mod restore;
mod save;
mod section;

pub use restore::Restoring;
pub use section::{BadSnapshot, PutSection, SECTION_BYTES_MAX, SectionKind};

pub(crate) use gathered::Entry;
pub(crate) use section::{Sections, bad, each_row, rows_of};
