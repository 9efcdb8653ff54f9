//! OpenIM's platforms: the kind of device behind a connection.
//!
//! Names are spelled as in callbacks. Which of them are one class, and who kicks whom, is `presence`'s.

/// A kind of device, numbered as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
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
    /// All platforms, by id.
    pub const ALL: [Self; 11] = [
        Self::Ios,
        Self::Android,
        Self::Windows,
        Self::Osx,
        Self::Web,
        Self::MiniWeb,
        Self::Linux,
        Self::APad,
        Self::IPad,
        Self::Admin,
        Self::HarmonyOs,
    ];

    pub fn from_id(id: i64) -> Option<Self> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    pub const fn id(self) -> i32 {
        self as i32
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ios => "IOS",
            Self::Android => "Android",
            Self::Windows => "Windows",
            Self::Osx => "OSX",
            Self::Web => "Web",
            Self::MiniWeb => "MiniWeb",
            Self::Linux => "Linux",
            Self::APad => "APad",
            Self::IPad => "IPad",
            Self::Admin => "Admin",
            Self::HarmonyOs => "HarmonyOS",
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_is_upstreams() {
        let row = |p: &Platform| format!("{} {}", p.id(), p.name());
        let rows: Vec<_> = Platform::ALL.iter().map(row).collect();
        expect![[r#"
            1 IOS
            2 Android
            3 Windows
            4 OSX
            5 Web
            6 MiniWeb
            7 Linux
            8 APad
            9 IPad
            10 Admin
            11 HarmonyOS"#]]
        .assert_eq(&rows.join("\n"));
    }

    #[test]
    fn an_id_names_its_platform_and_no_other_number_names_one() {
        for platform in Platform::ALL {
            assert_eq!(Platform::from_id(platform.id().into()), Some(platform));
        }
        for id in [0, 12, -1, i64::MIN, i64::MAX] {
            assert_eq!(Platform::from_id(id), None);
        }
    }
}
