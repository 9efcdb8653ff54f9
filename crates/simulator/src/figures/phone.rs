//! A user with one device whose line is lost again and again, and who redials as the real SDKs do.

use crate::{
    sockets::{Line, dial},
    world::World,
};
use presence::{ConnId, Login, Platform, TokenHash, UserId};
use std::{ops::Range, sync::Arc, time::Duration};

/// When the native SDKs dial again after a dial that failed, in milliseconds: 0, 1, 3, 7, 15, 31 s
/// after the loss, where a dial fails at once.
const NATIVE_WAITS_MS: [u64; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];
/// The JS SDK's wait, also before its first.
const SCRIPT_WAIT_MS: u64 = 5_000;
/// One trip to Herald and back, in milliseconds.
const ROUND_TRIP_MS: Range<u64> = 30..400;
/// TCP, TLS 1.3, the upgrade.
const ROUND_TRIPS: u64 = 3;
/// When TCP sends the first packet of a connection again, in milliseconds.
const SYNS_MS: [u64; 4] = [0, 1_000, 3_000, 7_000];
/// How long a dial may take.
const DIAL_TIMEOUT_MS: u64 = 10_000;
/// How fast a dial fails where there is no network at all, or nobody listens.
const FAILS_MS: Range<u64> = 1..50;

/// By which times a client redials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sdk {
    /// 0, 1, 3, 7, 15, 31 s after the loss, then every 16 s.
    Native,
    /// Every 5 s.
    Script,
}

/// What a dial meets as long as the network is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It fails at once, as in flight mode.
    Refuses,
    /// Nothing comes back, as in a dead spot.
    Swallows,
}

/// A device.
pub(super) struct Phone {
    pub(super) world: Arc<World>,
    pub(super) user: UserId,
    pub(super) sdk: Sdk,
    token: TokenHash,
}

/// A connection.
pub(super) struct Connected {
    pub(super) conn: ConnId,
    pub(super) line: Line,
    /// When the dial that got through reached Herald.
    pub(super) reached_at: u64,
}

impl Phone {
    pub(super) fn new(world: &Arc<World>, user: UserId, sdk: Sdk) -> Phone {
        Phone { world: Arc::clone(world), user, sdk, token: TokenHash(world.bytes()) }
    }

    /// Dials until it is let in; the network is away until then.
    pub(super) async fn redial(&self, away_until: u64, absence: Absence) -> Connected {
        let mut failed = 0;
        if self.sdk == Sdk::Script {
            tokio::time::sleep(Duration::from_millis(SCRIPT_WAIT_MS)).await;
        }
        loop {
            if self.gets_through(away_until, absence).await
                && let Some(connected) = self.dial().await
            {
                return connected;
            }
            let wait = match self.sdk {
                Sdk::Native => NATIVE_WAITS_MS[failed.min(NATIVE_WAITS_MS.len() - 1)],
                Sdk::Script => SCRIPT_WAIT_MS,
            };
            failed += 1;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// The way to Herald. False: the dial has failed on it.
    async fn gets_through(&self, away_until: u64, absence: Absence) -> bool {
        let began = self.world.ms();
        let syns = SYNS_MS.map(|after| began + after);
        let through = match absence {
            _ if began >= away_until => Some(began),
            Absence::Refuses => None,
            Absence::Swallows => syns.into_iter().find(|at| *at >= away_until),
        };
        let until = match (through, absence) {
            (Some(at), _) => at + ROUND_TRIPS * self.world.within(ROUND_TRIP_MS),
            (None, Absence::Refuses) => began + self.world.within(FAILS_MS),
            (None, Absence::Swallows) => began + DIAL_TIMEOUT_MS,
        };
        tokio::time::sleep(Duration::from_millis(until - began)).await;
        through.is_some()
    }

    async fn dial(&self) -> Option<Connected> {
        let conn = ConnId(self.world.bytes());
        let reached_at = self.world.ms();
        let platform = match self.sdk {
            Sdk::Native => Platform::Ios,
            Sdk::Script => Platform::Web,
        };
        let issued_at = self.world.wall();
        let login = Login {
            conn,
            platform,
            token: self.token,
            issued_at,
            background: false,
            address: None,
        };
        let line = dial(&self.world, &self.user, login).await.ok()?;
        Some(Connected { conn, line, reached_at })
    }
}
