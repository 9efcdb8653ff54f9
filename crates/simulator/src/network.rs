//! The way from Herald to an App: a [`Sender`] that delays, loses, repeats and cuts off.
//!
//! It keeps to the endpoint's timeout, as `callbacks::http` does; the App's work goes on without it.

use crate::{
    app::{Mode, Request},
    bite::Bite,
    world::World,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use presence::{Attempt, Refusal};
use server::callbacks::{Endpoint, Sender, Sent};
use std::{pin::pin, sync::Arc, time::Duration};
use store::Claimed;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;

/// The network of one process, as it reaches one App.
pub(crate) struct Network {
    pub(crate) world: Arc<World>,
    pub(crate) app: usize,
    /// The process is dead: nothing it does has an effect.
    pub(crate) dead: CancellationToken,
    /// Shared by all endpoints, for [`Bite::OneEndpointAtATime`].
    pub(crate) only_one: Arc<Mutex<()>>,
}

#[async_trait]
impl Sender for Network {
    async fn send(&self, endpoint: &Endpoint, callback: &Claimed) -> Sent {
        let _turn = match self.world.bite {
            Some(Bite::OneEndpointAtATime) => Some(self.only_one.lock().await),
            _ => None,
        };
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
        self.world.runs().await;
        let id = &callback.lease.id;
        self.world.attempt_begins(self.app, callback);
        let began = self.world.ms();
        self.world.note(&format!(
            "send {id} {:?}, attempt {}",
            callback.change.kind,
            callback.attempts + 1
        ));
        let resync = endpoint.needs_resync();
        let request = Request { id: id.clone(), change: callback.change.clone(), resync };
        let timeout = endpoint.timeout(callback.change.kind);
        let mut exchange = pin!(self.exchange(request));
        let mut sent = tokio::time::timeout(timeout, &mut exchange).await.ok();
        self.world.runs().await;
        // What came while the process did not run is there when it looks again.
        sent = sent.or_else(|| exchange.now_or_never());
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let sent = sent.unwrap_or_else(|| {
            self.world.count("network: no answer in time");
            unanswered("no answer in time")
        });
        self.world.note(&format!("sent {id} {:?}", sent.attempt));
        self.world.attempt_ended(self.app, callback, sent.attempt);
        self.world.app_said(self.app, callback, &sent, began);
        sent
    }
}

impl Network {
    async fn exchange(&self, request: Request) -> Sent {
        let world = &self.world;
        let app = Arc::clone(&world.apps[self.app]);
        world.sleep(1..10).await;
        if app.mode() == Mode::Unreachable {
            world.count("network: no connection");
            return unanswered("no connection");
        }
        if let Some(proxy) = world.plan.proxy {
            return proxy.pass(world, &app, request).await;
        }
        let (answer, answered) = oneshot::channel();
        let faults = &world.plan.faults;
        if faults.duplicates && !world.is_quiet() && world.percent(5) {
            world.count("network: duplicate");
            let again = world.within(0..2) * world.within(0..30_000);
            let (app, world, request) = (Arc::clone(&app), Arc::clone(world), request.clone());
            let (life, resyncs) = (app.life(), app.resyncs());
            // A copy that nobody waits for; one that is held up may arrive after newer ones. It does
            // not outlive the App, and is not applied over a snapshot that was read meanwhile.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(again)).await;
                if app.life() != life || app.resyncs() != resyncs {
                    return;
                }
                if again > 0 {
                    app.goes_out_of_order();
                }
                let (answer, _answered) = oneshot::channel();
                app.serve(world, request, answer).await;
            });
        }
        tokio::spawn(app.serve(Arc::clone(world), request, answer));
        answered.await.unwrap_or_else(|_| unanswered("the exchange broke off"))
    }
}

pub(crate) fn unanswered(why: &str) -> Sent {
    let error = Some(why.to_owned());
    Sent {
        attempt: Attempt::Unanswered,
        retry_after: None,
        answer: None,
        error,
        refusal: Refusal::default(),
        consents: false,
    }
}
