//! Cache files that are named on the command line.

use std::path::Path;

use dsconv::Database;

use crate::failure::Failure;

/// Reads a file. What is wrong with parts of it is printed, and counted.
pub(crate) fn load(path: &Path) -> Result<(Database, usize), Failure> {
    let loaded = Database::load(path)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    Ok((loaded.database, loaded.warnings.len()))
}

/// `1 record`, `2 records`.
pub(crate) fn records(count: usize) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}
