//! How a store can fail, by what the caller can do about it.

/// Why a call to the store did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Someone else committed first. Load again and decide anew.
    #[error("presence of this user changed since it was read")]
    Conflict,
    /// The lease ran out, so somebody else may have the callback by now. Nothing was recorded.
    #[error("the lease of this callback ran out")]
    LeaseLost,
    /// The backend cannot be used right now; the same call may work later. Nothing was written.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// What was read makes no sense. Trying again does not help.
    #[error("stored {what} of {of} is corrupt: {why}")]
    Corrupt {
        /// What kind of thing.
        what: &'static str,
        /// Whose.
        of: String,
        /// What is wrong with it.
        why: String,
    },
    /// Herald itself failed at it, by a panic. Trying again hardly helps, and other users' steps are
    /// not affected.
    #[error("a step of {of} ended in a panic, which is a fault in Herald")]
    Panicked {
        /// Whose.
        of: String,
    },
}
