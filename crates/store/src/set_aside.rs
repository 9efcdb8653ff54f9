//! What became of rows that could not be read.

use presence::Timestamp;

/// A stored row that could not be read, kept as it was for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Rises with time; a cursor for pages.
    pub id: u64,
    /// The table it was in.
    pub table: String,
    /// Its id or name there.
    pub key: String,
    /// Its columns as JSON. Bytes that are no text are `{"hex": "…"}`.
    pub content: String,
    /// Why it could not be read.
    pub why: String,
    /// When that was noticed.
    pub at: Timestamp,
}
