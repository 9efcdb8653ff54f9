//! Reads the environment: `HERALD_SECTION__KEY`, and `…_FILE` for secrets.

use super::{
    Origin, ReadFile,
    draft::Draft,
    keys::{KEYS, Key, Written},
    nearest::nearest,
};
use std::{collections::BTreeMap, path::Path};

const PREFIX: &str = "HERALD_";

/// The variables of this process that are ours.
pub(super) fn here() -> impl Iterator<Item = (String, String)> {
    // Not `vars`, which panics on somebody else's variable that is no text.
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Reads all variables that are ours; one that means nothing is an error.
pub(super) fn read(
    draft: &mut Draft,
    env: impl IntoIterator<Item = (String, String)>,
    read_file: ReadFile<'_>,
) {
    let ours = |(name, value): &(String, String)| {
        name.starts_with(PREFIX) && !is_of_kubernetes(name, value)
    };
    let mut variables: BTreeMap<_, _> = env.into_iter().filter(ours).collect();
    for key in KEYS {
        let direct = variables.remove(&key.variable());
        let file = key.secret.then(|| variables.remove(&file_variable(key))).flatten();
        match (direct, file) {
            (Some(_), Some(_)) => {
                let wrong = format!("{} is set too; keep one of them", key.variable());
                draft.set_nothing(key, Origin::Environment(file_variable(key)), &wrong);
            }
            (Some(text), None) => {
                let origin = Origin::Environment(key.variable());
                draft.set(key, origin, &Written::Bare(&text), &text);
            }
            (None, Some(path)) => set_from_file(draft, key, Path::new(&path), read_file),
            (None, None) => {}
        }
    }
    for name in variables.into_keys() {
        let text = unknown(&name);
        draft.report(Origin::Environment(name), text);
    }
}

fn set_from_file(draft: &mut Draft, key: &Key, path: &Path, read_file: ReadFile<'_>) {
    let origin = Origin::Environment(file_variable(key));
    let content = read_file(path).map_err(|error| error.to_string()).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())
    });
    match content {
        Ok(text) => draft.set(key, origin, &Written::Bare(text.trim()), ""),
        Err(error) => {
            let wrong = format!("{} cannot be read: {error}", path.display());
            draft.set_nothing(key, origin, &wrong);
        }
    }
}

fn file_variable(key: &Key) -> String {
    format!("{}_FILE", key.variable())
}

fn unknown(name: &str) -> String {
    let secrets = KEYS.iter().filter(|key| key.secret);
    let names: Vec<_> = KEYS.iter().map(Key::variable).chain(secrets.map(file_variable)).collect();
    // Without the prefix, which would make everything look alike.
    let mut candidates = names.iter().map(|name| &name[PREFIX.len()..]);
    let rest = &name[PREFIX.len()..];
    let without_section = format!("__{rest}");
    let meant = nearest(rest, candidates.clone())
        .or_else(|| candidates.find(|name| name.ends_with(&without_section)));
    match meant {
        Some(meant) => format!("unknown variable; did you mean {PREFIX}{meant}?"),
        None => "unknown variable; a key is set as HERALD_SECTION__KEY".to_owned(),
    }
}

/// Kubernetes tells every container of the services beside it, and one may be called herald:
/// `HERALD_SERVICE_HOST`, `HERALD_PORT`, `HERALD_PORT_10001_TCP_ADDR`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let of_service = name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let of_port = name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP"));
    let of_first_port = name.ends_with("_PORT") && value.contains("://");
    !name.contains("__") && (of_service || of_port || of_first_port)
}
