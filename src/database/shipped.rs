//! Records that come with the crate, one file for each CPU model under `shipped/`.
//!
//! To add a model, put the file that `autotune` wrote there and name it in [`FILES`].

use std::path::Path;

use super::Database;

/// File stem of the CPU model, and the text of its file.
const FILES: &[(&str, &str)] =
    &[("genuineintel-6-167-1", include_str!("shipped/genuineintel-6-167-1.toml"))];

pub(super) fn find(file_stem: &str) -> Option<Database> {
    find_in(FILES, file_stem)
}

pub(super) fn all() -> impl Iterator<Item = Database> {
    FILES.iter().filter_map(|(stem, text)| read(stem, text))
}

fn find_in(files: &[(&str, &str)], file_stem: &str) -> Option<Database> {
    let (stem, text) = files.iter().find(|(stem, _)| *stem == file_stem)?;
    read(stem, text)
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
    use crate::cpu::CpuModel;

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
        let cpu = CpuModel::host();
        let text = Database::new(cpu.clone()).to_toml();
        let stem = cpu.file_stem();
        let files = [("other-1-2-3", "not read"), (stem.as_str(), text.as_str())];
        assert_eq!(find_in(&files, &stem).unwrap().cpu(), &cpu);
        assert!(find_in(&files, "other-1-2-4").is_none());
        assert!(find_in(&files, "other-1-2-3").is_none());
    }
}
