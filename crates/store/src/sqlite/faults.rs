//! Whose fault an error of SQLite is: the disk's, or that of what one write holds or meets.

/// Whether a statement failed by what a row holds, not by the disk.
pub(super) fn is_about_content(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TypeMismatch, Unknown};
    matches!(error.sqlite_error_code(), Some(ConstraintViolation | TypeMismatch | Unknown))
}

/// Whether a statement failed by what one write holds or meets. The disk is well.
pub(super) fn is_about_one_write(error: &rusqlite::Error) -> bool {
    use rusqlite::{
        Error,
        ErrorCode::{ConstraintViolation, TooBig, TypeMismatch},
    };
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..)
        | Error::ToSqlConversionFailure(..) => true,
        error => {
            let code = error.sqlite_error_code();
            matches!(code, Some(ConstraintViolation | TypeMismatch | TooBig))
        }
    }
}
