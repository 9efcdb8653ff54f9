//! OpenIM's platforms: the kind of device behind a connection.
//!
//! Names are spelled as in callbacks. Who kicks whom is not decided here.

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

/// Platforms that one login policy treats as the same terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Mobile,
    Pc,
    Web,
    MiniWeb,
    Pad,
    Admin,
    HarmonyOs,
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

    pub const fn class(self) -> Class {
        match self {
            Self::Ios | Self::Android => Class::Mobile,
            Self::Windows | Self::Osx | Self::Linux => Class::Pc,
            Self::Web => Class::Web,
            Self::MiniWeb => Class::MiniWeb,
            Self::APad | Self::IPad => Class::Pad,
            Self::Admin => Class::Admin,
            Self::HarmonyOs => Class::HarmonyOs,
        }
    }
}

impl Class {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mobile => "Mobile",
            Self::Pc => "PC",
            Self::Web => "Web",
            Self::MiniWeb => "MiniWeb",
            Self::Pad => "Pad",
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
        let row = |p: &Platform| format!("{} {} {}", p.id(), p.name(), p.class().name());
        let rows: Vec<_> = Platform::ALL.iter().map(row).collect();
        expect![[r#"
            1 IOS Mobile
            2 Android Mobile
            3 Windows PC
            4 OSX PC
            5 Web Web
            6 MiniWeb MiniWeb
            7 Linux PC
            8 APad Pad
            9 IPad Pad
            10 Admin Admin
            11 HarmonyOS HarmonyOS"#]]
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
