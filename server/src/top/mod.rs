//! What the operations page counts, asked again and again, as rates and quantiles for a person to look at.
//!
//! Architecture invariant: it knows the exchange by its operations page alone, as any other agent does.

mod counts;
mod view;

pub(crate) use counts::Counts;
pub(crate) use view::{Seen, draw, lines};
