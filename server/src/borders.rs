//! What the doors ask of the exchange, answered by its pipeline.

use crate::clock::SteadyClock;
use crate::ingress::Ingress;
use crate::source::Source;
use std::ops::ControlFlow;
use xq_gateway::Again;
use xq_protocol::{Frame, Nanos, Seq};

impl xq_gateway::Ingress for Ingress {
    fn offer(&mut self, frames: &[u8]) -> usize {
        Ingress::offer(self, frames)
    }
}

impl xq_gateway::EventSource for Source {
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        Source::poll(self, visit)
    }

    fn read_from(&mut self, from: Seq, visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again {
        Source::read_from(self, from, visit)
    }

    fn oldest(&mut self) -> Seq {
        Source::oldest(self)
    }

    fn durable(&self) -> Seq {
        Source::durable(self)
    }
}

impl xq_gateway::Clock for SteadyClock {
    fn now(&self) -> Nanos {
        SteadyClock::now(self)
    }
}
