//! Records that come with the crate, one file for each CPU model under `shipped/`.
//!
//! To add a model, put the file that `autotune` wrote there and name it in [`FILES`].

use std::path::Path;
use std::sync::OnceLock;

use super::Database;

static FILES: [File; 4] = [
    File::new("authenticamd-25-1-1", include_str!("shipped/authenticamd-25-1-1.toml")),
    File::new("authenticamd-25-17-1", include_str!("shipped/authenticamd-25-17-1.toml")),
    File::new("genuineintel-6-106-6", include_str!("shipped/genuineintel-6-106-6.toml")),
    File::new("genuineintel-6-167-1", include_str!("shipped/genuineintel-6-167-1.toml")),
];

/// A CPU model's file.
struct File {
    /// [`CpuModel::file_stem`](crate::cpu::CpuModel::file_stem) of the model.
    stem: &'static str,
    text: &'static str,
    /// Read once in a process, when it is first asked for: that takes longer than to prepare a dozen
    /// blocks.
    database: OnceLock<Option<Database>>,
}

impl File {
    const fn new(stem: &'static str, text: &'static str) -> Self {
        Self { stem, text, database: OnceLock::new() }
    }

    /// The records. A test reads every file, so one that is not sound never gets here.
    fn database(&self) -> Option<&Database> {
        let read = || match Database::from_toml(self.text, Path::new(self.stem)) {
            Ok(loaded) => Some(loaded.database),
            Err(error) => {
                tracing::error!("shipped records: {error}");
                None
            }
        };
        self.database.get_or_init(read).as_ref()
    }
}

pub(super) fn find(file_stem: &str) -> Option<Database> {
    FILES.iter().find(|file| file.stem == file_stem)?.database().cloned()
}

/// All but the one of a CPU model.
pub(super) fn others(file_stem: String) -> impl Iterator<Item = Database> {
    FILES.iter().filter(move |file| file.stem != file_stem).filter_map(File::database).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_sound_named_after_its_cpu_and_as_we_would_write_it() {
        for File { stem, text, .. } in &FILES {
            let loaded = Database::from_toml(text, Path::new(stem)).unwrap();
            assert_eq!(loaded.warnings, [], "{stem}");
            assert_eq!(loaded.database.cpu().file_stem(), *stem);
            assert!(!loaded.database.is_empty(), "{stem}");
            assert_eq!(loaded.database.to_toml(), *text, "{stem}");
        }
    }

    #[test]
    fn a_cpu_model_finds_its_own_file_and_all_others() {
        for File { stem, .. } in &FILES {
            assert_eq!(find(stem).unwrap().cpu().file_stem(), *stem);
            let others: Vec<Database> = others((*stem).to_owned()).collect();
            assert!(others.iter().all(|other| other.cpu().file_stem() != *stem));
            assert_eq!(others.len(), FILES.len() - 1);
        }
        assert!(find("other-1-2-3").is_none());
        assert_eq!(others("other-1-2-3".to_owned()).count(), FILES.len());
    }
}
