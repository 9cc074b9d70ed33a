//! A line on loopback that loses datagrams: whatever goes through it, either way, by a seed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// The line; it is cut when it is dropped.
pub struct LossyLine {
    pub address: SocketAddr,
    /// Of a thousand datagrams so many are lost.
    pub loss: Arc<AtomicU32>,
    pub lost: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Drop for LossyLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LossyLine {
    /// A line to `server` for one client.
    pub async fn to(server: SocketAddr, seed: u64) -> LossyLine {
        let front = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let back = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = front.local_addr().expect("it is bound");
        let (loss, lost): (Arc<AtomicU32>, Arc<AtomicU64>) = Default::default();
        let (rate, count) = (Arc::clone(&loss), Arc::clone(&lost));
        let task = tokio::spawn(async move {
            let (mut random, mut client) = (seed.max(1), None);
            let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
            let mut passes = || {
                // Marsaglia's xorshift.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let passes = random % 1_000 >= u64::from(rate.load(Ordering::Relaxed));
                count.fetch_add(u64::from(!passes), Ordering::Relaxed);
                passes
            };
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut from_client) => {
                        client = Some(from);
                        if passes() {
                            let _ = back.send_to(&from_client[..length], server).await;
                        }
                    }
                    Ok((length, _)) = back.recv_from(&mut from_server) => {
                        if let Some(client) = client && passes() {
                            let _ = front.send_to(&from_server[..length], client).await;
                        }
                    }
                }
            }
        })
        .abort_handle();
        LossyLine {
            address,
            loss,
            lost,
            task,
        }
    }
}
