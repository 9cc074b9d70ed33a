//! Connects, places one order, and prints what becomes of it until it has rested or gone.
//!
//! `cargo run -p xq-client --example place_order -- ADDR KEYS NAME SESSION ACCOUNT SERIES buy|sell QTY LIMIT`

use anyhow::{Context, bail};
use std::path::Path;
use xq_client::protocol::*;
use xq_client::{Client, Config, Report};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [addr, keys, name, session, account, series, side, qty, limit] = args.as_slice() else {
        bail!("ADDR KEYS NAME SESSION ACCOUNT SERIES buy|sell QTY LIMIT");
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
    let number = client
        .place(&PlaceOrder {
            account: AccountId(account.parse()?),
            series: SeriesId(series.parse()?),
            qty: Qty(qty.parse()?),
            side: Side::from_text(side).context("buy or sell")?,
            order_type: OrderType::Limit,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
            limit: Price(limit.parse()?),
            expire_at: Nanos::ZERO,
            cl_ord_id: ClOrdId::from_text("example").context("a short text")?,
            on_disconnect: OnDisconnect::Persist,
            reserved: Reserved::ZERO,
        })
        .await?;
    loop {
        let report = client.next_event().await?;
        match &report {
            Report::Event { out_seq, frame } => {
                println!("{out_seq}: {:?}", frame.event()?);
                // The last event of our own request says all that followed at once.
                if report.req_seq() == number && frame.header().is_last() {
                    break;
                }
            }
            Report::Refused(refused) if refused.req_seq == number => {
                let reason = RejectReason::from_code(refused.code);
                bail!("refused: {}", reason.map_or("unknown code", RejectReason::text));
            }
            Report::Missed { from, until } => println!("{from} to {until} are archived"),
            Report::Up(_) | Report::Refused(_) => {}
            Report::Down(error) => eprintln!("connection lost: {error}"),
        }
    }
    client.close().await;
    Ok(())
}
