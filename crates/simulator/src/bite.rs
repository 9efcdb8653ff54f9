//! Bugs that are put in on purpose, at the seams around the real code, to show that they are found.

/// One such bug, and the promise that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bite {
    /// P1: the store says that a write is durable up to a second before it is.
    SyncsLater,
    /// P1: a callback that is to be sent again is settled as delivered.
    BackOffIsDelivered,
    /// P2: a lease ends at once, so a callback is given out while it is in flight.
    LeaseForgotten,
    /// P2: a user who is offline is read back without the last `seq`.
    SeqForgotten,
    /// P3: what the last process left is not taken over at boot.
    NoRecover,
    /// P3: an App that keeps a flag is told of each connection that ends.
    WrongScope,
    /// P4: the connections of the last process get no grace.
    NoRestartGrace,
    /// P5: deadlines are forgotten.
    NoWakeups,
    /// P6: all endpoints wait for each other.
    OneEndpointAtATime,
    /// Gate: a login is admitted unasked while the App is owed anything about its user.
    UnaskedBesidePending,
    /// Gate: a refusal ends its own connection only, not those whose callbacks were left out.
    RefusalOfOne,
    /// Gate: a login takes the place of its lingering session before the App has agreed.
    QuestionReplaces,
    /// Gate: a refusal holds against all logins of the user.
    RefusalOfTheUser,
    /// P5: while one user's commit is slow, nobody's grace runs out.
    OneSlowHoldsAll,
    /// P3: a replay is followed by the newest of its user, not of its connection or platform.
    ReplayTellsTheUser,
    /// P3: nobody tells an App how things are where a callback was given up.
    MarksForgotten,
    /// P3: what was queued under other settings is sent as it is.
    YesterdaysSettings,
    /// P1: a wall clock that jumps makes callbacks expire.
    WallClockExpires,
    /// P4: graces run while the process does not.
    FreezeCounts,
}

impl Bite {
    /// All of them.
    pub const ALL: [Bite; 19] = [
        Bite::SyncsLater,
        Bite::BackOffIsDelivered,
        Bite::LeaseForgotten,
        Bite::SeqForgotten,
        Bite::NoRecover,
        Bite::WrongScope,
        Bite::NoRestartGrace,
        Bite::NoWakeups,
        Bite::OneEndpointAtATime,
        Bite::UnaskedBesidePending,
        Bite::RefusalOfOne,
        Bite::QuestionReplaces,
        Bite::RefusalOfTheUser,
        Bite::OneSlowHoldsAll,
        Bite::ReplayTellsTheUser,
        Bite::MarksForgotten,
        Bite::YesterdaysSettings,
        Bite::WallClockExpires,
        Bite::FreezeCounts,
    ];
}
