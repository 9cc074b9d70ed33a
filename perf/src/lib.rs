//! What speed is measured with: the flows, and the data of other people that they and the conformance checks read.

pub mod data;
pub mod flow;
pub mod frames;
pub mod large;
pub mod staffed;
pub mod venue;

pub use xq_lobster as lobster;
