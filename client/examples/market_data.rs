//! Follows one series: its book order by order, kept right through lost datagrams, and says the best prices as they change.
//!
//! `cargo run --example market_data -- 127.0.0.1:4701 keys alice COFFEE`, with the folder that `xq keys` filled.

use anyhow::Context;
use std::path::PathBuf;
use xq_client::market::{MarketConfig, MarketData, Update};
use xq_client::protocol::{Side, Symbol};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [addr, keys, name, symbol] = words.as_slice() else {
        anyhow::bail!("four words are wanted: ADDRESS KEYS NAME SYMBOL");
    };
    let keys = PathBuf::from(keys);
    let mut market = MarketData::connect(&MarketConfig {
        addr: addr.parse()?,
        server_name: "localhost".to_owned(),
        ca: keys.join("ca.pem"),
        cert: keys.join(format!("{name}.pem")),
        key: keys.join(format!("{name}.key")),
        mtu: None,
    })
    .await?;
    let symbol = Symbol::from_text(symbol).context("a symbol has 1 to 16 characters")?;
    let (series, told) = market.find(symbol).await?;
    println!("{symbol} is series {series}, face value {}", told.face);
    market.subscribe(series);
    let mut best = (None, None);
    loop {
        let update = market.next().await?;
        if let Update::Invalid(_) = update {
            println!("a message was lost: the book is not to be trusted until it has healed");
        } else if let Update::Valid(_) = update {
            println!("the book is right");
        }
        // Only a right book is given out.
        let Some(book) = market.book(series) else { continue };
        let now = (book.best(Side::Buy), book.best(Side::Sell));
        if now != best {
            let shown = |level: Option<xq_client::protocol::Level>| {
                level.map_or("none".to_owned(), |level| {
                    format!("{} × {}", level.price, level.qty)
                })
            };
            println!("bid {}, ask {}", shown(now.0), shown(now.1));
            best = now;
        }
    }
}
