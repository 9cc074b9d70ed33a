//! The command journal: what was said, durable before it is told.

pub(crate) mod layout;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod scan;
pub(crate) mod tail;
pub(crate) mod writer;
