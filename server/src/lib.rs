//! The exchange as a program: threads, rings, the clock, recovery, configuration.
//!
//! Architecture invariant: this room knows all the others and decides no business.

mod borders;
pub mod cli;
mod clock;
pub mod config;
mod exit;
mod fills;
mod follower;
mod ingress;
mod journaler;
mod keeper;
mod known;
mod ladder;
mod lockout;
mod machine;
mod market;
mod matcher;
mod metrics;
mod obligations;
mod open_orders;
pub mod opening;
mod page;
mod pipeline;
mod priority;
mod progress;
mod publisher;
mod quarantine;
mod recovery;
pub mod replay;
mod ring;
mod server;
mod source;
mod state;
mod timer;
mod top;
mod wait;

pub use clock::{ClockLeap, LEAP_MAX, SteadyClock, wall_now};
pub use exit::{Exit, Failure};
pub use fills::Fills;
pub use follower::{Cadence, FollowerWatch};
pub use ingress::Ingress;
pub use known::Known;
pub use market::market_of;
pub use matcher::Watched;
pub use metrics::Readings;
pub use page::Page;
pub use pipeline::{Pipeline, PipelineConfig, Stopped};
pub use progress::Durable;
pub use publisher::Bell;
pub use recovery::{Journals, Progress, Recovered, Report, frame_of, journal_id_of, lock_folder, recover};
pub use ring::Gauges;
pub use server::Server;
pub use source::Source;
pub use wait::{Layout, Waiter, Waker};
