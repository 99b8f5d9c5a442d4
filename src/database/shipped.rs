//! Records that come with the crate, one file for each CPU model under `shipped/`.
//!
//! To add a model, put the file that `autotune` wrote there and name it in [`FILES`].

use std::path::Path;
use std::sync::OnceLock;

use super::Database;

/// File stem of the CPU model, and the text of its file.
const FILES: &[(&str, &str)] = &[
    ("authenticamd-25-17-1", include_str!("shipped/authenticamd-25-17-1.toml")),
    ("genuineintel-6-167-1", include_str!("shipped/genuineintel-6-167-1.toml")),
];

pub(super) fn find(file_stem: &str) -> Option<Database> {
    all().find(|database| database.cpu().file_stem() == file_stem)
}

/// The files are read once in a process.
pub(super) fn all() -> impl Iterator<Item = Database> {
    static DATABASES: OnceLock<Vec<Database>> = OnceLock::new();
    let read_all = || FILES.iter().filter_map(|(stem, text)| read(stem, text)).collect();
    DATABASES.get_or_init(read_all).iter().cloned()
}

/// A test reads every file, so a file that is not sound never gets here.
fn read(stem: &str, text: &str) -> Option<Database> {
    match Database::from_toml(text, Path::new(stem)) {
        Ok(loaded) => Some(loaded.database),
        Err(error) => {
            tracing::error!("shipped records: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_sound_named_after_its_cpu_and_as_we_would_write_it() {
        for (stem, text) in FILES {
            let loaded = Database::from_toml(text, Path::new(stem)).unwrap();
            assert_eq!(loaded.warnings, [], "{stem}");
            assert_eq!(loaded.database.cpu().file_stem(), *stem);
            assert!(!loaded.database.is_empty(), "{stem}");
            assert_eq!(loaded.database.to_toml(), *text, "{stem}");
        }
        assert_eq!(all().count(), FILES.len());
    }

    #[test]
    fn a_cpu_model_finds_its_own_file_only() {
        for (stem, _) in FILES {
            assert_eq!(find(stem).unwrap().cpu().file_stem(), *stem);
        }
        assert!(find("other-1-2-3").is_none());
    }
}
