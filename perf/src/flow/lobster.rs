//! `lobster`: half an hour of one real stock, in a loop over fresh series when more commands are wanted.
//!
//! A price in ticks is LOBSTER's divided by 100 (one cent). An arrival is a GTC order, a reduction a reduction, a
//! deletion a cancel. An execution is an IOC of its size and price from the other side when its order is the head
//! of the best queue; else it reduces (or cancels) that order, so that the replay stays aligned. Hidden executions
//! are left out. Orders of which no arrival is told are placed as `lobster::Seeds` says: those of the first series
//! are the prefill, those of the others come before their series' first message. Accounts: 1,000, seed 1.

use super::book::Arrival;
use super::tape::{Flow, Shape, Tape};
use crate::lobster::{Kind, Message, Seeds, Unannounced, seeds};
use std::collections::BTreeMap;
use xq_protocol::{Side, TimeInForce};

/// LOBSTER's price units a tick.
const TICK: i64 = 100;

/// The flow of these messages with so many commands.
pub fn lobster(messages: &[Message], commands: usize) -> Flow {
    assert!(
        messages.iter().any(|message| message.kind == Kind::Add),
        "a day without an order is no flow"
    );
    let seeds = seeds(messages);
    // A loop over all messages writes at least half as many commands; more series than needed cost nothing.
    let series = u32::try_from(commands * 2 / messages.len() + 2).expect("fewer than 2^32 series");
    let mut tape = Tape::new(
        Shape {
            name: "lobster",
            series,
            accounts: 1_000,
        },
        1,
    );
    for series in 0..series {
        let mut replay = Replay {
            tape: &mut tape,
            series,
            ids: BTreeMap::new(),
        };
        for order in &seeds.before {
            if series == 0 || replay.tape.len() < commands {
                replay.seed(order);
            }
        }
        if series == 0 {
            replay.tape.end_prefill();
        }
        replay.play(messages, &seeds, commands);
        if tape.len() >= commands {
            break;
        }
    }
    tape.finish()
}

struct Replay<'a> {
    tape: &'a mut Tape,
    series: u32,
    /// LOBSTER's id to the flow's.
    ids: BTreeMap<u64, u32>,
}

impl Replay<'_> {
    fn play(&mut self, messages: &[Message], seeds: &Seeds, commands: usize) {
        for (at, message) in messages.iter().enumerate() {
            if let Some(order) = seeds.late.get(&at).filter(|_| self.tape.len() < commands) {
                self.seed(order);
            }
            if self.tape.len() >= commands {
                break;
            }
            self.step(message);
        }
    }

    fn seed(&mut self, order: &Unannounced) {
        self.arrive(order.id, order.side, order.price, order.size);
    }

    fn step(&mut self, message: &Message) {
        match message.kind {
            Kind::Add => self.arrive(message.id, message.side, message.price, message.size),
            Kind::Reduce | Kind::Delete => self.lower(message),
            Kind::Execute => {
                let head = self.tape.book.head(self.series, message.side);
                if head.is_some() && head == self.ids.get(&message.id).copied() {
                    let (side, price) = (message.side.opposite(), ticks(message.price));
                    let tif = TimeInForce::Ioc;
                    self.tape.place(Arrival {
                        series: self.series,
                        side,
                        price,
                        qty: message.size,
                        tif,
                    });
                } else {
                    self.lower(message);
                }
            }
            Kind::ExecuteHidden => {}
        }
    }

    fn arrive(&mut self, id: u64, side: Side, price: i64, size: u32) {
        let tif = TimeInForce::Gtc;
        let flow_id = self.tape.place(Arrival {
            series: self.series,
            side,
            price: ticks(price),
            qty: size,
            tif,
        });
        self.ids.insert(id, flow_id);
    }

    /// Takes so much from an order; all that is open cancels it, and an order that has ended stays so.
    fn lower(&mut self, message: &Message) {
        let Some(id) = self.ids.get(&message.id).copied() else {
            return;
        };
        let open = self.tape.book.open(id);
        if open > message.size {
            self.tape.reduce(self.series, id, message.size);
        } else if open > 0 {
            self.tape.cancel(self.series, id);
        }
    }
}

fn ticks(price: i64) -> u32 {
    u32::try_from(price / TICK).expect("a price of a stock in cents")
}
