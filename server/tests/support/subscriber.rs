//! A subscriber of a venue's market data.

use super::SOON;
use super::venue::Site;
use tokio::time::timeout;
use xq_client::market::{LevelsTold, MarketConfig, MarketData, Update};
use xq_protocol::{SeriesId, SeriesTold, StatisticsTold, Symbol};
use xq_server::Server;

pub async fn connect(site: &Site, server: &Server) -> MarketData {
    let key = &site.keys["bob"];
    let config = MarketConfig {
        addr: server.market_data().expect("it is configured"),
        server_name: "localhost".to_owned(),
        ca: site.authority.cert(),
        cert: key.cert.clone(),
        key: key.key.clone(),
        mtu: None,
    };
    MarketData::connect(&config).await.expect("the key holds")
}

pub async fn until(market: &mut MarketData, mut wanted: impl FnMut(&Update) -> bool) -> Update {
    let heard = async {
        loop {
            let update = market.next().await.expect("it stays connected");
            if wanted(&update) {
                return update;
            }
        }
    };
    timeout(SOON, heard).await.expect("it is heard soon")
}

pub async fn coffee(market: &mut MarketData) -> (SeriesId, SeriesTold) {
    let symbol = Symbol::from_text("COFFEE").expect("a symbol");
    market.find(symbol).await.expect("it is listed")
}

/// What a subscriber that begins now is told of the day.
pub async fn day(market: &mut MarketData, series: SeriesId) -> StatisticsTold {
    day_with(market, series, |_| true).await
}

/// The same, at the latest when it is as wanted: market data may follow a little later than the doors.
pub async fn day_with(
    market: &mut MarketData,
    series: SeriesId,
    wanted: impl Fn(&StatisticsTold) -> bool,
) -> StatisticsTold {
    market.follow_levels(series);
    let told = until(
        market,
        |update| matches!(update, Update::Levels(_, LevelsTold::Statistics(day)) if wanted(day)),
    )
    .await;
    match told {
        Update::Levels(_, LevelsTold::Statistics(day)) => day,
        other => panic!("{other:?}"),
    }
}
