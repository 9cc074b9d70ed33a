//! Room engine.

pub mod oracle;
