//! `herald store check`: says what is wrong with a store. Writes nothing.

use super::{Failure, load_config, print};
use anyhow::anyhow;
use server::config::Backend;
use std::path::PathBuf;
use store::{Checked, Problem, SetAside, check};

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Look for damage and rows that cannot be read, also beside a running server: exit 1 if any
    Check(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder of a store, or a copy of its herald.db; without it store.path of the configuration
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The configuration file; without it herald.toml in the working directory, if there is one
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    config: Option<PathBuf>,
    /// Take the secret that everybody knows if none is set, as `serve --dev` does
    #[arg(long)]
    dev: bool,
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    let Action::Check(arguments) = action;
    let checked = check(&folder(arguments)?).map_err(|error| Failure::NotTried(error.into()))?;
    print(&words(&checked))?;
    if checked.problems.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn folder(arguments: Arguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = arguments.folder {
        return Ok(folder);
    }
    let store = load_config(arguments.config.as_deref(), arguments.dev)?.config.store;
    match store.backend {
        Backend::Sqlite => Ok(store.path),
        Backend::Memory => {
            let nothing = anyhow!("store.backend is \"memory\": there is no file to check");
            Err(Failure::NotTried(nothing))
        }
    }
}

fn words(checked: &Checked) -> String {
    let (version, newest) = checked.schema;
    let file = checked.file.display();
    let mut lines = Vec::new();
    if version == 0 {
        lines.push(format!("{file}: no store"));
    } else {
        lines.push(format!("{file}: schema {version}"));
        if version < newest {
            lines.push(format!("the next `herald serve` brings it to schema {newest}"));
        }
        let rows = checked.rows.iter().map(|(table, count)| format!("{count} {table}"));
        lines.push(format!("rows: {}\n", rows.collect::<Vec<_>>().join(", ")));
    }
    if !checked.set_aside.is_empty() {
        let head =
            "set aside earlier, because they could not be read (GET /v1/set-aside has them):";
        lines.push(head.to_owned());
        let row =
            |SetAside { table, key, why, .. }: &SetAside| [table.clone(), key.clone(), why.clone()];
        lines.push(table(checked.set_aside.iter().map(row).collect()));
    }
    if checked.problems.is_empty() {
        lines.push("the store is well\n".to_owned());
        return lines.join("\n");
    }
    lines.push("problems:".to_owned());
    let row =
        |Problem { table, key, what }: &Problem| [(*table).to_owned(), key.clone(), what.clone()];
    lines.push(table(checked.problems.iter().map(row).collect()));
    if checked.more_problems > 0 {
        lines.push(format!("and {} more\n", checked.more_problems));
    }
    let then = "A row that cannot be read is set aside by `herald serve`, and its endpoints need a \
                resync. Where `file` is named, the file itself is damaged or no store: restore the \
                folder from a backup.\n";
    lines.push(then.to_owned());
    lines.join("\n")
}

fn table(rows: Vec<[String; 3]>) -> String {
    let head = ["table", "row", "what"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    let line = |row: &[String; 3]| {
        // Names come from outside: no escape reaches the terminal.
        let [table, key, what] = row.each_ref().map(|text| text.replace(char::is_control, " "));
        format!("  {table:first$}  {key:second$}  {what}\n")
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}
