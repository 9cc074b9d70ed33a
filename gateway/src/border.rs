//! The borders of this room: what it asks of the rest of the exchange, implemented by the server and faked in tests.

use crate::register::Register;
use std::ops::ControlFlow;
use xq_protocol::{Frame, Nanos, Seq};

/// The way in: the command ring.
pub trait Ingress: Send {
    /// Offers whole frames, one after another, aligned to eight bytes, with session, time and request number filled in.
    ///
    /// Returns how many *bytes* of whole frames from the front were taken, as one batch. What was not taken did not
    /// enter: the ring is full. Which frames still enter a nearly full ring is this border's own rule.
    fn offer(&mut self, frames: &[u8]) -> usize;
}

/// The way out: the event journal, read as far as its commands are durable.
pub trait EventSource: Send {
    /// Visits, in order, a bounded number of events that were not visited before and may be told; returns how many.
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize;
    /// Visits again, in order, the events from the first one of command `from` on, up to the last one that `poll`
    /// visited, until the visitor breaks. It does not move what `poll` visits next.
    fn read_from(&mut self, from: Seq, visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again;
    /// The first command whose events can be visited again: those before it are archived.
    fn oldest(&mut self) -> Seq;
    /// The last durable command.
    fn durable(&self) -> Seq;
}

/// Whether events could be visited again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who asked for them is told that they are gone"]
pub enum Again {
    /// All that were asked for.
    Visited,
    /// They are archived, or cannot be read any more: fewer were visited, or none.
    Gone,
}

/// What is known of the exchange before the first event that [`EventSource::poll`] visits; nothing where that is the
/// journal's first.
#[derive(Debug, Default)]
pub struct Begun {
    /// Keys, roles, and what sessions were told.
    pub register: Register,
    /// The last command before that event.
    pub covered: Seq,
}

/// The exchange's clock.
pub trait Clock: Send + Sync {
    /// Nanoseconds UTC; never steps back.
    fn now(&self) -> Nanos;
}
