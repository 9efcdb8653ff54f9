//! Changes the file of a store that no server uses.

use std::path::Path;

/// Retelling begins a minute after a callback was given up; no test waits for that. As if it had been given
/// up long ago; how many marks there are.
pub fn make_marks_due(data: &Path) -> usize {
    let file = rusqlite::Connection::open(data.join("herald.db")).unwrap();
    let sql = "UPDATE marks SET due_at = 1, detail = json_set(detail, '$.marked_at', 0)";
    file.execute(sql, []).unwrap()
}
