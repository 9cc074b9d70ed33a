//! The event journal: what followed, derived from the commands and written through a map.

pub(crate) mod at_rest;
pub(crate) mod hasher;
pub(crate) mod keeper;
pub(crate) mod layout;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod scan;
pub(crate) mod tail;
pub(crate) mod writer;
