//! Market data of a whole exchange: what is traded is told, and a start begins with the books that were left.

mod support;

use support::SOON;
use support::subscriber::{coffee, connect, day, until};
use support::venue::Venue;
use tokio::time::timeout;
use xq_client::market::{MarketData, Update};
use xq_protocol::*;
use xq_server::{ClockLeap, Server};

#[tokio::test]
async fn a_start_begins_with_the_books_and_the_statistics_that_were_left() {
    let venue = Venue::start();
    let mut desk = venue.desk();
    desk.open_market().await;
    let mut market = connect(&venue.site, &venue.server).await;
    let (series, told) = coffee(&mut market).await;
    assert_eq!(
        (told.face, told.phase, told.venue),
        (Price(3_000), Phase::Continuous, Phase::Continuous)
    );
    market.subscribe(series);
    until(&mut market, |update| *update == Update::Valid(series)).await;
    desk.say_all(&[
        "sell acme 10 COFFEE @ 27.00 gtc persist as s1",
        "sell acme 10 COFFEE @ 26.00 gtc persist as s2",
        "sell acme 10 COFFEE @ 27.00 gtc persist as s3",
        "buy bob 4 COFFEE @ 26.00 gtc persist as b1",
        "buy bob 3 COFFEE @ 25.00 gtc persist as b2",
    ])
    .await;
    let whole = |market: &MarketData| market.book(series).is_some_and(|book| book.len() == 4);
    while !whole(&market) {
        timeout(SOON, market.next())
            .await
            .expect("soon")
            .expect("it stays connected");
    }
    let book = market.book(series).expect("it is right");
    let asks: Vec<_> = book
        .levels(Side::Sell)
        .map(|level| (level.price.0, level.qty, level.orders))
        .collect();
    assert_eq!(asks, [(2_600, 6, 1), (2_700, 20, 2)]);
    let hash = book.hash();
    let before = day(&mut market, series).await;
    assert_eq!(
        (before.volume, before.turnover, before.last),
        (Amount(4), Amount(10_400), Price(2_600))
    );
    drop((market, desk));
    let Venue { site, server } = venue;
    server.stop().expect("it stops");

    let server = Server::start(&site.config(), ClockLeap::Refuse, &mut |_, _| {}).expect("it starts again");
    let mut market = connect(&site, &server).await;
    let (series, _) = coffee(&mut market).await;
    market.subscribe(series);
    until(&mut market, |update| *update == Update::Valid(series)).await;
    assert_eq!(market.book(series).expect("it is right").hash(), hash);
    assert_eq!(day(&mut market, series).await, before);
    market.check(series);
    until(&mut market, |update| {
        matches!(update, Update::Checked(_, Some(_)))
    })
    .await;
    drop(market);
    server.stop().expect("it stops");
}
