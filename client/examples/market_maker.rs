//! Quotes both sides of a series around a price, and quotes anew what traded.
//!
//! `cargo run -p xq-client --example market_maker -- ADDR KEYS NAME SESSION ACCOUNT SERIES PRICE SPREAD`

use anyhow::bail;
use std::path::Path;
use xq_client::protocol::*;
use xq_client::{Client, Config, Report};

struct Quotes {
    market: (AccountId, SeriesId),
    prices: [Price; 2],
    quoted: u64,
}

impl Quotes {
    async fn quote(&mut self, client: &Client, side: Side, qty: Qty) -> anyhow::Result<()> {
        self.quoted += 1;
        let order = PlaceOrder {
            account: self.market.0,
            series: self.market.1,
            qty,
            side,
            order_type: OrderType::Limit,
            tif: TimeInForce::Day,
            execution: Execution::PostOnly,
            limit: self.prices[usize::from(side.byte())],
            expire_at: Nanos::ZERO,
            cl_ord_id: ClOrdId::from_text(&format!("quote-{}", self.quoted)).unwrap_or_default(),
            on_disconnect: OnDisconnect::Cancel,
            reserved: Reserved::ZERO,
        };
        client.place(&order).await?;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [addr, keys, name, session, account, series, price, spread] = args.as_slice() else {
        bail!("ADDR KEYS NAME SESSION ACCOUNT SERIES PRICE SPREAD");
    };
    let keys = Path::new(keys);
    let mut client = Client::connect(Config {
        addr: addr.parse()?,
        server_name: "localhost".to_owned(),
        ca: keys.join("ca.pem"),
        cert: keys.join(format!("{name}.pem")),
        key: keys.join(format!("{name}.key")),
        session: SessionId(session.parse()?),
        resume: None,
        mtu: None,
    })
    .await?;
    let market = (AccountId(account.parse()?), SeriesId(series.parse()?));
    let (price, spread): (u64, u64) = (price.parse()?, spread.parse()?);
    let prices = [price - spread, price + spread].map(Price);
    let mut quotes = Quotes {
        market,
        prices,
        quoted: 0,
    };
    quotes.quote(&client, Side::Buy, Qty(100)).await?;
    quotes.quote(&client, Side::Sell, Qty(100)).await?;
    loop {
        let report = client.next_event().await?;
        if let Some(Event::Executed(trade)) = report.event() {
            println!("{} {} @ {}", trade.side, trade.qty, trade.price);
            // What one side lost is offered again.
            quotes.quote(&client, trade.side, trade.qty).await?;
        } else if let Some(Event::Rejected(rejected)) = report.event() {
            bail!("{rejected}");
        } else if let Report::Down(error) = report {
            eprintln!("connection lost: {error}");
        }
    }
}
