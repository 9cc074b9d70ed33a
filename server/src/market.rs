//! Market data's part of a start: its configuration, and the market as recovery left it.
//!
//! Books come from the engine, statistics and candles from what recovery followed: of events before the last command none
//! has to be there any more.

use crate::clock::SteadyClock;
use crate::config::Config;
use crate::exit::Failure;
use crate::recovery::Recovered;
use crate::source::Source;
use std::sync::Arc;
use tokio::sync::Notify;
use xq_engine::Exchange;
use xq_gateway::{Delays, Market, MarketBorders, MarketConfig, MarketLimits, Transport};
use xq_protocol::{Hash, JournalId, KeyState, Nanos, ParticipantId, Reserved, RestingAdded, Seq, SeriesTold};

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
        let last = recovered.last_seq();
        let mut market = market_of(&recovered.exchange, last, limits);
        market.recall(&recovered.tradings);
        let valid = known.keys.iter().filter(|(_, state)| **state == KeyState::Valid);
        Seed {
            market,
            keys: valid
                .map(|((owner, fingerprint), _)| (*fingerprint, *owner))
                .collect(),
            journal_id: recovered.journal_id(),
            last,
        }
    }

    /// What market data begins with: `source` becomes its source of events.
    pub(crate) fn borders(
        self,
        mut source: Source,
        (clock, bell, delays): (SteadyClock, Arc<Notify>, Arc<Delays>),
    ) -> Result<MarketBorders, Failure> {
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
}
