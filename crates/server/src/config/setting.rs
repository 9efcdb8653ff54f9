//! How a value of each type is written in TOML and in the environment.

use super::{
    file::as_written,
    types::{Headers, Secret, Size},
};
use std::{fmt::Display, net::SocketAddr, path::PathBuf, time::Duration};
use toml::de::DeValue;

/// A type of value that can be configured.
pub(super) trait Setting: Sized {
    /// Whether the environment has the text as it is; otherwise it has TOML.
    const BARE: bool = true;

    /// The value, if that is how one is written.
    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// The value, if that is how one is written in the environment.
    fn read_bare(text: &str) -> Option<Self> {
        if Self::BARE {
            return Self::read(&DeValue::String(text.into()));
        }
        DeValue::parse(text.trim()).ok().and_then(|value| Self::read(value.get_ref()))
    }

    /// The value as TOML, fit to be read again; a secret masked.
    fn show(&self) -> String;

    /// What is read, in words: "a duration such as …".
    fn expected(example: &Self) -> String;
}

impl Setting for bool {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<bool> {
        value.as_bool()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn expected(_: &bool) -> String {
        "true or false".to_owned()
    }
}

impl Setting for usize {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<usize> {
        let integer = value.as_integer()?;
        usize::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn expected(example: &usize) -> String {
        format!("a whole number such as {example}")
    }
}

impl Setting for f64 {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<f64> {
        match value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            // Nobody who writes 1 means anything but 1.0.
            DeValue::Integer(_) => usize::read(value).map(|integer| integer as f64),
            _ => None,
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }

    fn expected(example: &f64) -> String {
        format!("a number such as {example:?}")
    }
}

impl Setting for Duration {
    fn read(value: &DeValue<'_>) -> Option<Duration> {
        // "10M" would be ten months, and nobody means these.
        let text = value.as_str().filter(|text| !text.contains(char::is_uppercase))?;
        humantime::parse_duration(text).ok()
    }

    fn show(&self) -> String {
        // As people say it: 72h and 90s, but 7d and 2m.
        const UNITS: [(&str, u128, u128); 6] = [
            ("d", 86_400_000_000_000, 7),
            ("h", 3_600_000_000_000, 1),
            ("m", 60_000_000_000, 2),
            ("s", 1_000_000_000, 0),
            ("ms", 1_000_000, 1),
            ("us", 1_000, 1),
        ];
        let whole = |&&(_, unit, from): &&(&str, u128, u128)| {
            self.as_nanos().is_multiple_of(unit) && self.as_nanos() >= unit * from
        };
        let (name, unit, _) = UNITS.iter().find(whole).unwrap_or(&("ns", 1, 0));
        quoted(format!("{}{name}", self.as_nanos() / unit))
    }

    fn expected(example: &Duration) -> String {
        such_as("a duration", example)
    }
}

const SIZE_UNITS: [(&str, usize); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Setting for Size {
    fn read(value: &DeValue<'_>) -> Option<Size> {
        let text = value.as_str()?;
        let (name, unit) = SIZE_UNITS.iter().find(|(name, _)| text.ends_with(name))?;
        let count = text.strip_suffix(name)?.trim_end();
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count: usize = digits.then(|| count.parse().ok())??;
        count.checked_mul(*unit).map(Size)
    }

    fn show(&self) -> String {
        let whole = |(_, unit): &&(&str, usize)| self.0.is_multiple_of(*unit) && self.0 >= *unit;
        let (name, unit) = SIZE_UNITS.iter().find(whole).unwrap_or(&("B", 1));
        quoted(format!("{}{name}", self.0 / unit))
    }

    fn expected(example: &Size) -> String {
        such_as("a size", example)
    }
}

impl Setting for SocketAddr {
    fn read(value: &DeValue<'_>) -> Option<SocketAddr> {
        value.as_str()?.parse().ok()
    }

    fn show(&self) -> String {
        quoted(self)
    }

    fn expected(example: &SocketAddr) -> String {
        such_as("an address", example)
    }
}

impl Setting for String {
    fn read(value: &DeValue<'_>) -> Option<String> {
        value.as_str().map(str::to_owned)
    }

    fn show(&self) -> String {
        quoted(self)
    }

    fn expected(_: &String) -> String {
        "a text in quotes".to_owned()
    }
}

impl Setting for PathBuf {
    fn read(value: &DeValue<'_>) -> Option<PathBuf> {
        value.as_str().map(PathBuf::from)
    }

    fn show(&self) -> String {
        quoted(self.display())
    }

    fn expected(_: &PathBuf) -> String {
        "a path in quotes".to_owned()
    }
}

/// White space around it does not count, wherever it is written: a line break at its end comes from
/// the tool that stored it (`echo`, an editor), and whoever signs does not have it.
impl Setting for Secret {
    fn read(value: &DeValue<'_>) -> Option<Secret> {
        value.as_str().map(|text| Secret::new(text.trim()))
    }

    fn show(&self) -> String {
        quoted(self.masked())
    }

    fn expected(_: &Secret) -> String {
        "a text in quotes".to_owned()
    }
}

/// Unset is written as `""`.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &DeValue<'_>) -> Option<Option<T>> {
        let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        if is_blank { Some(None) } else { T::read(value).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }

    fn expected(example: &Option<T>) -> String {
        example.as_ref().map_or_else(|| "a text in quotes".to_owned(), T::expected)
    }
}

impl Setting for Vec<String> {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<Vec<String>> {
        value.as_array()?.iter().map(|item| String::read(item.get_ref())).collect()
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(quoted).collect::<Vec<_>>().join(", "))
    }

    fn expected(example: &Vec<String>) -> String {
        if example.is_empty() {
            return "a list of texts in quotes, such as [\"one\", \"another\"]".to_owned();
        }
        such_as("a list", example)
    }
}

/// The environment may also have them with white space between, and a file of their own a line for
/// each.
impl Setting for Vec<Secret> {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<Vec<Secret>> {
        value.as_array()?.iter().map(|item| Secret::read(item.get_ref())).collect()
    }

    fn read_bare(text: &str) -> Option<Vec<Secret>> {
        if text.trim_start().starts_with('[') {
            return DeValue::parse(text.trim()).ok().and_then(|list| Self::read(list.get_ref()));
        }
        Some(text.split_whitespace().map(Secret::new).collect())
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Secret::show).collect::<Vec<_>>().join(", "))
    }

    fn expected(_: &Vec<Secret>) -> String {
        "a list of texts in quotes".to_owned()
    }
}

impl Setting for Headers {
    const BARE: bool = false;

    fn read(value: &DeValue<'_>) -> Option<Headers> {
        let table = value.as_table()?.iter();
        let header = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            Secret::read(value.get_ref()).map(|value| (name.to_string(), value))
        };
        table.map(header).collect()
    }

    fn show(&self) -> String {
        let header =
            |(name, value): (&str, &Secret)| format!("{} = {}", as_written(name), value.show());
        match self.iter().map(header).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "{}".to_owned(),
            headers => format!("{{ {headers} }}"),
        }
    }

    fn expected(_: &Headers) -> String {
        "a table of texts such as { X-Tenant = \"7\" }".to_owned()
    }
}

fn such_as(what: &str, example: &impl Setting) -> String {
    format!("{what} such as {}", example.show())
}

/// A text as TOML, on one line.
pub(super) fn quoted(text: impl Display) -> String {
    let mut toml = String::from('"');
    for c in text.to_string().chars() {
        match c {
            '"' | '\\' => toml.extend(['\\', c]),
            c if c.is_control() => toml += &format!("\\u{:04X}", u32::from(c)),
            c => toml.push(c),
        }
    }
    toml + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn read<T: Setting>(text: &str) -> Option<T> {
        T::read(&DeValue::String(text.into()))
    }

    fn check<T: Setting + Debug + PartialEq>(written: &str, shown: &str) {
        let value = read::<T>(written);
        assert_eq!(value.as_ref().map_or_else(String::new, T::show), quoted(shown), "{written}");
        assert_eq!(read::<T>(shown), value, "{written}");
    }

    #[test]
    fn a_duration_is_shown_as_people_say_it() {
        for (written, shown) in [
            ("0s", "0s"),
            ("60s", "60s"),
            ("120s", "2m"),
            ("90 s", "90s"),
            ("1.5h", "90m"),
            ("72h", "72h"),
            ("1week", "7d"),
            ("2160h", "90d"),
            ("1s 500ms", "1500ms"),
            ("7us", "7us"),
            ("13ns", "13ns"),
        ] {
            check::<Duration>(written, shown);
        }
    }

    #[test]
    fn a_size_is_shown_in_its_largest_whole_unit() {
        for (written, shown) in [
            ("0B", "0B"),
            ("51200B", "50KiB"),
            ("50 KiB", "50KiB"),
            ("1024KiB", "1MiB"),
            ("1025KiB", "1025KiB"),
            ("3GiB", "3GiB"),
        ] {
            check::<Size>(written, shown);
        }
        for bad in ["", "1", "KiB", "-1KiB", "+1KiB", "1.5MiB", "1MB", "1 Kib", "99999999999GiB"] {
            assert_eq!(read::<Size>(bad), None, "{bad}");
        }
    }

    #[test]
    fn any_text_is_shown_so_that_it_can_be_read_again() {
        let text = "a \"b\" \\ c\n\t\u{1}\u{7f}é";
        let shown = quoted(text);
        assert_eq!(DeValue::parse(&shown).unwrap().get_ref().as_str(), Some(text), "{shown}");
    }
}
