//! Market data's part of a start: its configuration, and the market as recovery left it.
//!
//! Books come from the engine, so that nothing before the last command has to be there any more. Statistics and candles
//! come from the last day of the event journal, as far as it is there: the engine does not keep them, and no file does.

use crate::clock::SteadyClock;
use crate::config::Config;
use crate::exit::Failure;
use crate::recovery::Recovered;
use crate::source::Source;
use std::sync::Arc;
use tokio::sync::Notify;
use xq_engine::Exchange;
use xq_gateway::{Delays, Market, MarketBorders, MarketConfig, MarketLimits, Transport};
use xq_protocol::{
    DayRolled, Event, Hash, JournalId, KeyState, Message, Nanos, ParticipantId, Reserved, RestingAdded, Seq,
    SeriesTold, Traded,
};

/// Trades older than this are not looked for: no candle is longer.
const HISTORY: u64 = 86_400_000_000_000;

/// Where market data listens and what it may take; none when it is switched off.
pub(crate) fn market_config(config: &Config) -> Option<MarketConfig> {
    let listen = config.market_data()?;
    let wanted = &config.market_data;
    Some(MarketConfig {
        listen,
        cert: config.server.certificate.clone(),
        key: config.server.key.clone(),
        client_ca: config.server.authority.clone(),
        limits: MarketLimits {
            channels: wanted.channels,
            kept: wanted.kept_messages,
            snapshot_orders_max: wanted.snapshot_orders_max,
            conflation: Nanos(wanted.conflation_ms * 1_000_000),
            subscribers_max: wanted.subscribers_max,
            ..MarketLimits::default()
        },
        transport: Transport {
            connections_max: 2 * wanted.subscribers_max,
            retry_from: wanted.subscribers_max,
            mtu: listen.ip().is_loopback().then_some(6_500),
            ..Transport::default()
        },
    })
}

/// The market, and who may ask for it, as recovery left both.
pub(crate) struct Seed {
    market: Market,
    keys: Vec<(Hash, ParticipantId)>,
    journal_id: JournalId,
    last: Seq,
    /// The exchange's time.
    time: Nanos,
}

/// The market as the engine has it after its command `last`.
pub fn market_of(exchange: &Exchange, last: Seq, limits: MarketLimits) -> Market {
    let mut market = Market::new(limits);
    for view in exchange.each_series() {
        let told = SeriesTold {
            symbol: view.symbol,
            tick: view.tick,
            face: view.face,
            valid_to: view.valid_to,
            lot: view.lot,
            currency: view.currency,
            phase: view.phase,
            venue: exchange.phase(),
        };
        market.define(view.series, told);
        for (side, order) in exchange.each_resting(view.series) {
            let resting = RestingAdded {
                order: order.order,
                price: order.price,
                qty: order.shown,
                side,
                reserved: Reserved::ZERO,
            };
            let hidden = (!order.display.is_zero()).then_some((order.leaves, order.display));
            market.rest(view.series, &resting, hidden);
        }
    }
    market.stand(
        exchange.phase(),
        exchange.business_date(),
        (last, exchange.time()),
    );
    market
}

impl Seed {
    /// Copies what is public of the engine's state.
    pub(crate) fn of(recovered: &Recovered, limits: MarketLimits) -> Seed {
        let known = &recovered.known;
        let (last, time) = (recovered.last_seq(), recovered.exchange.time());
        let valid = known.keys.iter().filter(|(_, state)| **state == KeyState::Valid);
        Seed {
            market: market_of(&recovered.exchange, last, limits),
            keys: valid
                .map(|((owner, fingerprint), _)| (*fingerprint, *owner))
                .collect(),
            journal_id: recovered.journal_id(),
            last,
            time,
        }
    }

    /// What market data begins with: `source` becomes its source of events, after it was read for the trades of the last
    /// day.
    pub(crate) fn borders(
        mut self,
        mut source: Source,
        (clock, bell, delays): (SteadyClock, Arc<Notify>, Arc<Delays>),
    ) -> Result<MarketBorders, Failure> {
        self.recall(&mut source)?;
        source.skip_to(self.last.next())?;
        Ok(MarketBorders {
            source: Box::new(source),
            clock: Arc::new(clock),
            bell,
            market: self.market,
            keys: self.keys,
            journal_id: self.journal_id,
            delays,
        })
    }

    fn recall(&mut self, source: &mut Source) -> Result<(), Failure> {
        let since = Nanos(self.time.0.saturating_sub(HISTORY));
        let from = source.first_since(since, self.last);
        if from > self.last {
            return Ok(());
        }
        source.skip_to(from)?;
        while let Some(frame) = source.next_event()? {
            if frame.header.seq > self.last {
                break;
            }
            if [Traded::TEMPLATE, DayRolled::TEMPLATE].contains(&frame.header.template_id) {
                let event: Event<'_> = frame.event().expect("the event journal holds events");
                self.market.recall(frame.header, &event);
            }
        }
        Ok(())
    }
}
