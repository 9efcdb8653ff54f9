//! The small words everything else is spelled with.

use alloc::{boxed::Box, string::String};
use core::{fmt, str};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The App's name for a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(Box<str>);

impl UserId {
    /// Wraps a name that has been checked at the border (length, no control characters).
    pub fn new(name: impl Into<Box<str>>) -> UserId {
        UserId(name.into())
    }

    /// The name as the App gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sixteen bytes, shown and stored as 32 lowercase hexadecimal digits.
macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl $name {
            /// Reads what `Display` writes; `None` for anything else.
            pub fn parse(hex: &str) -> Option<$name> {
                let digits = hex.as_bytes();
                if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let mut bytes = [0; 16];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
                }
                Some($name(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let hex = String::deserialize(from)?;
                $name::parse(&hex).ok_or_else(|| D::Error::custom("expected 32 hex digits"))
            }
        }
    };
}

sixteen_bytes! {
    /// One connection, unique for ever.
    ConnId
}
sixteen_bytes! {
    /// The first half of a token's SHA-256: enough to know the same token again, never the token.
    TokenHash
}

/// What kind of client a connection comes from. The numbers are OpenIM's, and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Platform {
    Ios = 1,
    Android = 2,
    Windows = 3,
    Osx = 4,
    Web = 5,
    MiniWeb = 6,
    Linux = 7,
    APad = 8,
    IPad = 9,
    Admin = 10,
    HarmonyOs = 11,
}

impl Platform {
    /// All of them, in order of their numbers.
    pub const ALL: [Platform; 11] = [
        Platform::Ios,
        Platform::Android,
        Platform::Windows,
        Platform::Osx,
        Platform::Web,
        Platform::MiniWeb,
        Platform::Linux,
        Platform::APad,
        Platform::IPad,
        Platform::Admin,
        Platform::HarmonyOs,
    ];

    /// OpenIM's number, 1 to 11.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The platform of a number, if there is one.
    pub fn from_id(id: i64) -> Option<Platform> {
        Platform::ALL.into_iter().find(|platform| i64::from(platform.id()) == id)
    }

    /// The name, spelled as in OpenIM's callbacks.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Ios => "IOS",
            Platform::Android => "Android",
            Platform::Windows => "Windows",
            Platform::Osx => "OSX",
            Platform::Web => "Web",
            Platform::MiniWeb => "MiniWeb",
            Platform::Linux => "Linux",
            Platform::APad => "APad",
            Platform::IPad => "IPad",
            Platform::Admin => "Admin",
            Platform::HarmonyOs => "HarmonyOS",
        }
    }
}

impl From<Platform> for u8 {
    fn from(platform: Platform) -> u8 {
        platform.id()
    }
}

impl TryFrom<u8> for Platform {
    type Error = &'static str;
    fn try_from(id: u8) -> Result<Platform, &'static str> {
        Platform::from_id(i64::from(id)).ok_or("a platform is a number from 1 to 11")
    }
}
