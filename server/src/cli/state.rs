//! `xq state`: what everyone had at any moment, how series were covered, and which orders were open, as CSV.

use super::at_rest::{AtRest, Beside, Folder, From};
use super::moment::Moment;
use super::{Ended, say};
use crate::exit::Exit;
use crate::recovery::frame_of;
use crate::state::Wanted;
use std::io::{BufWriter, Write};
use xq_engine::{Events, Exchange};
use xq_protocol::text::instant;
use xq_protocol::{AccountId, Nanos, Place, Seq};

/// Prints the state at a moment; may run beside the exchange.
#[derive(clap::Args)]
pub(super) struct State {
    /// After this command, or after the last one before this instant (2026-01-02T03:04:05Z); else after the last.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<Moment>,
    /// Only what is this account's.
    #[arg(long, value_name = "NUMBER")]
    account: Option<u32>,
    #[command(flatten)]
    folder: Folder,
}

impl State {
    pub(super) fn run(self) -> Result<(), Ended> {
        let from = match self.at {
            Some(Moment::At(seq)) => Wanted::UpTo(seq),
            Some(Moment::Time(time)) => Wanted::Before(time),
            None => Wanted::Any,
        };
        let mut found = AtRest::open(&self.folder.path()?, Beside::Running, From::Newest(from))?;
        let (exchange, seq, time) = self.executed(&mut found)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let printed = self.print(&exchange, &mut out).and_then(|()| out.flush());
        printed.map_err(say::unsaid)?;
        tracing::debug!(seq = seq.0, time = %instant(time), "state");
        Ok(())
    }

    /// Executes again up to the moment; the last command, and its time.
    fn executed(&self, found: &mut AtRest) -> Result<(Exchange, Seq, Nanos), Ended> {
        let last = found.commands.last_seq;
        if let Some(Moment::At(seq)) = self.at
            && (seq > last || seq < Seq(found.first().0 - 1))
        {
            let first = Seq(found.first().0 - 1);
            let error =
                anyhow::anyhow!("command {seq} is not there: the journals reach from {first} to {last}");
            return Err(Ended::with(Exit::Refused, error));
        }
        let mut reader = found.reader()?;
        let mut state = std::mem::take(&mut found.state);
        let (mut events, mut time) = (Events::new(), Nanos::ZERO);
        loop {
            let seq = reader.next_seq();
            let Some(bytes) = reader.next_command(last)? else {
                break;
            };
            let frame = frame_of(bytes, seq)?;
            let is_past = match self.at {
                Some(Moment::At(at)) => seq > at,
                Some(Moment::Time(at)) => frame.header.time >= at,
                None => false,
            };
            if is_past {
                return Ok((state.exchange, Seq(seq.0 - 1), time));
            }
            state.apply(seq, &frame, &mut events)?;
            time = frame.header.time;
        }
        Ok((state.exchange, last, time))
    }

    fn print(&self, exchange: &Exchange, out: &mut impl Write) -> std::io::Result<()> {
        let is_its = |account: AccountId| self.account.is_none_or(|wanted| wanted == account.0);
        writeln!(out, "balance,place,asset,amount")?;
        for balance in exchange.balances() {
            let shown = match balance.place {
                Place::Account(account, _) => is_its(account),
                Place::Custody
                | Place::FreeEscrow(_)
                | Place::Escrow(_)
                | Place::Fees
                | Place::Rebates
                | Place::Registrar => self.account.is_none(),
            };
            if shown {
                writeln!(
                    out,
                    "balance,{},{},{}",
                    balance.place, balance.asset.0, balance.amount
                )?;
            }
        }
        if self.account.is_none() {
            writeln!(out, "coverage,series,outstanding,redeem_value,needed,escrow")?;
            for cover in exchange.covers() {
                let needed = u128::from(cover.outstanding.0) * u128::from(cover.redeem_value.0);
                writeln!(
                    out,
                    "coverage,{},{},{},{needed},{}",
                    cover.series, cover.outstanding, cover.redeem_value, cover.escrow
                )?;
            }
        }
        writeln!(out, "order,series,side,order,account,cl_ord_id,price,leaves")?;
        for view in exchange.each_series() {
            let series = view.series;
            for (side, order) in exchange.each_resting(series) {
                if is_its(order.account) {
                    writeln!(
                        out,
                        "order,{series},{side},{},{},{},{},{}",
                        order.order, order.account, order.cl_ord_id, order.price, order.leaves
                    )?;
                }
            }
        }
        Ok(())
    }
}
