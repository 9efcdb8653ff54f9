//! Figures: what Herald costs and how fast it is right, in simulated time.
//!
//! Start at [`report`]. Each is measured by a function of its own, at the scale it is given, and the same one at a small
//! scale is a test. Nothing here is a promise; `verdicts.rs` has those.

mod losses;
mod outage;
mod phone;
mod posts;
mod report;

pub use losses::{Losses, Trouble, losses};
pub use outage::{RightAfter, after_app_outage, after_restart};
pub use posts::{Posts, posts};
pub use report::{Scale, report};
