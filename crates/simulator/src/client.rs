//! The clients: they log in, come and go, lose their lines, and redial as the real SDKs do.

use crate::{
    sockets::{Line, NotAdmitted, Said, Told, dial},
    world::World,
};
use presence::{ConnId, Event, Issued, Login, Platform, Timestamp, TokenHash, UserId};
use std::{sync::Arc, time::Duration};
use store::Store;
use tokio::sync::oneshot;

const NATIVE: [Platform; 5] =
    [Platform::Ios, Platform::Android, Platform::Windows, Platform::Osx, Platform::IPad];
const SCRIPT: [Platform; 2] = [Platform::Web, Platform::MiniWeb];
/// When the native SDKs dial, in milliseconds after the loss; then every 16 seconds.
const NATIVE_REDIALS_MS: [u64; 6] = [0, 1_000, 3_000, 7_000, 15_000, 31_000];
const NATIVE_REDIALS_THEN_MS: u64 = 16_000;
/// The JS SDK's.
const SCRIPT_REDIALS_MS: u64 = 5_000;
/// How long a client may be away, in milliseconds.
const AWAY_MS_MAX: u64 = 40_000;
/// So long into the quiet nobody comes any more; those who kick each other by their logins would
/// never end.
const SETTLED_MS: u64 = 90_000;
/// Longer than any server waits for a word.
const VANISHED: Duration = Duration::from_secs(60);
/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// One device of a user, or one tab.
pub(crate) struct Device {
    world: Arc<World>,
    user: UserId,
    platform: Platform,
    token: Token,
}

#[derive(Clone, Copy)]
struct Token {
    hash: TokenHash,
    issued_at: Timestamp,
    good: bool,
}

/// Why a client is not connected any more.
enum Gone {
    /// It dials again.
    Lost,
    /// It stays away until somebody uses it again.
    Away,
}

/// What a person or a network does to a connection.
enum Deed {
    Stay,
    Leave(Gone),
    Vanish,
}

/// Lets a user's devices live. Some are tabs that share a token.
pub(crate) fn spawn_devices(world: &Arc<World>, user: &UserId) {
    let devices = world.within(1..4);
    for _ in 0..devices {
        let platform = if world.percent(70) { world.pick(&NATIVE) } else { world.pick(&SCRIPT) };
        let tabs = if SCRIPT.contains(&platform) && world.percent(50) { 2 } else { 1 };
        let token = Token {
            hash: TokenHash(world.bytes()),
            issued_at: world.wall(),
            good: !world.plan.policy.known_tokens_only,
        };
        for _ in 0..tabs {
            let (world, user) = (Arc::clone(world), user.clone());
            tokio::spawn(Device { world, user, platform, token }.live());
        }
    }
}

impl Device {
    async fn live(mut self) {
        loop {
            let settled = self.world.quiet_for_ms() > SETTLED_MS;
            if settled || (self.world.is_quiet() && self.world.percent(30)) {
                return;
            }
            let rest = Duration::from_millis(self.world.within(0..AWAY_MS_MAX));
            tokio::select! {
                biased;
                () = self.world.quiet.cancelled(), if !self.world.is_quiet() => {}
                () = tokio::time::sleep(rest) => {}
            }
            if !self.token.good || self.world.percent(20) {
                self.get_token().await;
            }
            let mut redials = false;
            while let Some(line) = self.connect(redials).await {
                match self.stay(line).await {
                    Gone::Lost => redials = true,
                    Gone::Away => break,
                }
            }
        }
    }

    /// As `POST /auth/get_user_token` makes one.
    async fn get_token(&mut self) {
        let Some(node) = self.world.node() else { return };
        let Some(Ok(state)) = node.ask(node.disk.load(&self.user)).await else { return };
        let after = state.value.issue_after(self.platform, self.world.wall()).0 / 1000 + 1;
        let now_s = self.world.wall().0 / 1000;
        let token = TokenHash(self.world.bytes());
        let issued_at = Timestamp(now_s.max(after) * 1000);
        let expires_at = Timestamp(issued_at.0 + 90 * 24 * 3_600_000);
        let issued = Issued { platform: self.platform, token, issued_at, expires_at };
        let issuing = node.driver.handle(&self.user, Event::TokenIssued(issued), None);
        if let Some(Ok(_)) = node.ask(issuing).await {
            self.world.count("client: new token");
            self.token = Token { hash: token, issued_at, good: true };
        }
    }

    /// Dials until it is let in; none when it gives up.
    async fn connect(&mut self, redials: bool) -> Option<Line> {
        let lost_at = self.world.ms();
        for attempt in 0.. {
            let at = lost_at + self.redial_ms(attempt);
            tokio::time::sleep(Duration::from_millis(at.saturating_sub(self.world.ms()))).await;
            if !self.world.is_quiet() && attempt > 0 && self.world.percent(4) {
                return None;
            }
            let login = Login {
                conn: ConnId(self.world.bytes()),
                platform: self.platform,
                token: self.token.hash,
                issued_at: self.token.issued_at,
                background: self.world.percent(20),
                address: None,
            };
            self.dial_twice(&login);
            let dialled =
                tokio::time::timeout(self.patience(), dial(&self.world, &self.user, login));
            match dialled.await {
                Ok(Ok(line)) => {
                    self.world.count(if redials { "client: redial" } else { "client: login" });
                    return Some(line);
                }
                Ok(Err(NotAdmitted::BadToken)) => {
                    self.token.good = false;
                    return None;
                }
                Ok(Err(NotAdmitted::Refused)) => {
                    self.world.count("client: reads that it is refused");
                    // It logs out; whoever uses it may try the same token again.
                    self.token.good &= self.world.percent(70);
                    return None;
                }
                Ok(Err(NotAdmitted::Unavailable)) | Err(_) => {}
            }
        }
        None
    }

    /// Some clients give up early, and dial again while the server still works on it.
    fn patience(&self) -> Duration {
        let world = &self.world;
        match world.plan.faults.double_dials && !world.is_quiet() && world.percent(10) {
            true => Duration::from_millis(world.within(50..4_000)),
            false => DIAL_TIMEOUT,
        }
    }

    /// Some dial twice at once, and drop one of both lines after a while.
    fn dial_twice(&self, login: &Login) {
        let world = &self.world;
        if !world.plan.faults.double_dials || world.is_quiet() || !world.percent(10) {
            return;
        }
        let again = Login { conn: ConnId(world.bytes()), ..login.clone() };
        let (world, user) = (Arc::clone(world), self.user.clone());
        let for_ms = world.within(0..20_000);
        tokio::spawn(async move {
            world.sleep(0..1_500).await;
            world.count("client: second dial");
            if let Ok(line) = dial(&world, &user, again).await {
                tokio::time::sleep(Duration::from_millis(for_ms)).await;
                drop(line);
            }
        });
    }

    fn redial_ms(&self, attempt: usize) -> u64 {
        if SCRIPT.contains(&self.platform) {
            return SCRIPT_REDIALS_MS * attempt as u64;
        }
        let last = NATIVE_REDIALS_MS.len() - 1;
        let further = attempt.saturating_sub(last) as u64 * NATIVE_REDIALS_THEN_MS;
        NATIVE_REDIALS_MS[attempt.min(last)] + further
    }

    /// Connected, until something happens.
    async fn stay(&mut self, mut line: Line) -> Gone {
        let world = Arc::clone(&self.world);
        loop {
            let while_ms = Duration::from_millis(world.within(100..60_000));
            let quiet = world.is_quiet();
            tokio::select! {
                biased;
                told = line.from_server.recv() => return self.told(told).await,
                () = world.cuts.notified() => {
                    world.count("client: cut off");
                    return self.vanish(line).await;
                }
                () = world.quiet.cancelled(), if !quiet => {}
                () = tokio::time::sleep(while_ms) => {
                    if world.is_quiet() {
                        continue;
                    }
                    match self.act(&line).await {
                        Deed::Stay => {}
                        Deed::Leave(gone) => return gone,
                        Deed::Vanish => return self.vanish(line).await,
                    }
                }
            }
        }
    }

    async fn told(&mut self, told: Option<Told>) -> Gone {
        match told {
            // Today's SDKs log out and stay away.
            Some(Told::Kicked) => {
                self.token.good = false;
                Gone::Away
            }
            Some(Told::Stopping) => Gone::Lost,
            None => {
                self.notice_late().await;
                Gone::Lost
            }
        }
    }

    /// A machine that is gone says nothing; the client notices by its own timeout.
    async fn notice_late(&self) {
        if self.world.percent(30) {
            self.world.sleep(1..30_000).await;
        }
    }

    /// The server's end hears nothing from here, not even that this end is gone.
    async fn vanish(&self, line: Line) -> Gone {
        let _ = line.to_server.send(Said::Vanish);
        tokio::spawn(async move {
            tokio::time::sleep(VANISHED).await;
            drop(line);
        });
        self.notice_late().await;
        Gone::Lost
    }

    /// Something that a person or a network does.
    async fn act(&mut self, line: &Line) -> Deed {
        let world = Arc::clone(&self.world);
        match world.below(100) {
            0..20 => {
                world.count("client: closes");
                world.sleep(1..60).await;
                let _ = line.to_server.send(Said::Close);
                // A page is reloaded, or the App is gone for a while.
                Deed::Leave(if world.percent(40) { Gone::Lost } else { Gone::Away })
            }
            20..40 => {
                world.count("client: line breaks");
                Deed::Leave(Gone::Lost)
            }
            40..60 => {
                world.count("client: half-open line");
                Deed::Vanish
            }
            60..75 => {
                world.count("client: logs out");
                world.sleep(1..60).await;
                let (answer, answered) = oneshot::channel();
                let _ = line.to_server.send(Said::LogOut(answer));
                let done = tokio::time::timeout(DIAL_TIMEOUT, answered).await;
                if !matches!(done, Ok(Ok(true))) {
                    return Deed::Stay;
                }
                self.token.good &= !world.plan.policy.logout_denies_token;
                Deed::Leave(Gone::Away)
            }
            _ => {
                world.count("client: background");
                let _ = line.to_server.send(Said::Background(world.percent(50)));
                Deed::Stay
            }
        }
    }
}
