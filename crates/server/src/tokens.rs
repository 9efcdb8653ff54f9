//! Clients' and administrators' tokens: made here or by others who share the secret, good unless
//! presence says otherwise. Never stored, only their hashes.

use crate::{clock::Clock, driver::Driver};
use presence::{Event, Issued, Platform, Policy, Standing, Timestamp, TokenHash, UserId};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use store::{Store, StoreError};
use wire::{
    code::{Code, WireError},
    token::{Claims, ISSUED_BACK_S, Keys},
};

/// Reads and makes tokens.
pub struct Tokens {
    /// The first one makes tokens; all are taken.
    keys: Vec<Keys>,
    store: Arc<dyn Store>,
    driver: Arc<Driver>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    expiry: Duration,
}

impl Tokens {
    /// A secret's bytes are the key, as everywhere in OpenIM. The first one makes tokens; those of the others
    /// are good as well. Tokens made here are good for `expiry`.
    ///
    /// # Panics
    /// Without a secret.
    pub fn new(
        secrets: &[&str],
        expiry: Duration,
        store: Arc<dyn Store>,
        driver: Arc<Driver>,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Tokens {
        assert!(!secrets.is_empty(), "the configuration was checked");
        let keys = secrets.iter().map(|secret| Keys::new(secret.as_bytes())).collect();
        Tokens { keys, store, driver, clock, policy, expiry }
    }

    /// What a token says, if it is validly signed and of today. Whether presence takes it is
    /// decided in the commit of a login; for everything else see [`Tokens::read_good`].
    pub fn read(&self, token: &str) -> Result<Claims, WireError> {
        let ahead_s = self.clock.ahead().as_secs() as i64;
        let read = |keys: &Keys| keys.read_ahead(token, self.now_s(), ahead_s);
        let (newest, previous) = self.keys.split_first().expect("there is one");
        let unknown = |read: &Result<Claims, WireError>| {
            read.as_ref().is_err_and(|error| error.code == Code::TokenUnknown)
        };
        let first = read(newest);
        if !unknown(&first) {
            return first;
        }
        // The newest says what is wrong with a token that none has signed.
        previous.iter().map(read).find(|read| !unknown(read)).unwrap_or(first)
    }

    /// What a good token says; else one of the codes 1501 to 1507, or 500.
    pub async fn read_good(&self, token: &str) -> Result<Claims, WireError> {
        let claims = self.read(token)?;
        // A platform that does not exist has no tokens of its own to replace or to know.
        let platform = Platform::from_id(claims.platform_id).unwrap_or(Platform::Admin);
        let user = UserId::new(claims.user_id.as_str());
        let standing = self.standing(&user, platform, hash(token), issued_at(&claims)).await;
        let standing = standing.map_err(|error| Code::ServerInternal.with(error.to_string()))?;
        refusal(standing).map_or(Ok(claims), Err)
    }

    /// What presence holds of a validly signed token.
    pub async fn standing(
        &self,
        user: &UserId,
        platform: Platform,
        token: TokenHash,
        issued_at: Timestamp,
    ) -> Result<Standing, StoreError> {
        let state = self.store.load(user).await?.value;
        Ok(state.standing(platform, token, issued_at, self.clock.now().wall, &self.policy))
    }

    /// Makes a token, which replaces older ones as the login policy says; with it, the seconds for
    /// which it is good.
    pub async fn issue(
        &self,
        user: &UserId,
        platform: Platform,
        operation_id: String,
    ) -> Result<(String, i64), StoreError> {
        let state = self.store.load(user).await?.value;
        // Not denied by a forced logout of this very second.
        let after_s = (state.issue_after(platform, self.clock.now().wall).0 / 1000) as i64 + 1;
        let now_s = self.now_s().max(after_s + ISSUED_BACK_S);
        let expiry_s = self.expiry.as_secs() as i64;
        let of = wire::platform::Platform::from_id(platform.id().into());
        let of = of.expect("both lists are OpenIM's");
        let token = self.keys[0].issue(user.as_str(), of, now_s, expiry_s);
        let issued = Issued {
            platform,
            token: hash(&token),
            issued_at: timestamp(now_s - ISSUED_BACK_S),
            expires_at: timestamp(now_s.saturating_add(expiry_s)),
        };
        self.driver.handle(user, Event::TokenIssued(issued), Some(operation_id)).await?;
        Ok((token, expiry_s))
    }

    fn now_s(&self) -> i64 {
        (self.clock.now().wall.0 / 1000) as i64
    }
}

/// How a token that is not good is refused.
pub fn refusal(standing: Standing) -> Option<WireError> {
    match standing {
        Standing::Good => None,
        Standing::Denied => Some(Code::TokenKicked.with("this token was kicked; get a new one")),
        Standing::Unknown => {
            let why = "this token was not issued here (auth.known_tokens_only); get one from \
                       /auth/get_user_token";
            Some(Code::TokenNotExist.with(why))
        }
    }
}

/// What is remembered of a token.
pub fn hash(token: &str) -> TokenHash {
    let digest = Sha256::digest(token.as_bytes());
    TokenHash(digest[..16].try_into().expect("a digest has 32 bytes"))
}

/// When a token says it was issued; 0 if it does not.
pub fn issued_at(claims: &Claims) -> Timestamp {
    timestamp(claims.issued_at)
}

/// From when on it is good no more.
pub fn expires_at(claims: &Claims) -> Timestamp {
    timestamp(claims.expires_at)
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}
