//! Where databases come from: files and folders, each in its layer.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::cpu::CpuModel;
use crate::database::Database;

/// The environment variable that names files, or folders of files, that lie on top of the project's,
/// separated as in `PATH`. The first one lies topmost.
pub const OVERLAY_VARIABLE: &str = "DSCONV_OVERLAY";

/// The folder of a project's files, in the working folder or the nearest one above it.
pub const PROJECT_FOLDER: &str = ".dsconv";

/// Who a database comes from, the lowest first: each lies on top of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// This crate ([`Database::shipped`], then [`Database::shipped_for_others`]).
    Shipped,
    /// The machine: `/etc/dsconv`, below it `dsconv` in each folder of `XDG_DATA_DIRS`
    /// (`/usr/local/share` and `/usr/share` where it is unset); on Windows `%PROGRAMDATA%\dsconv`.
    System,
    /// The user: the folder of [`Database::user_path`].
    User,
    /// The project: [`PROJECT_FOLDER`], or what the builder was told instead.
    Project,
    /// The environment variable [`OVERLAY_VARIABLE`].
    Environment,
    /// The program, which handed it to the builder.
    Given,
}

impl Layer {
    /// All layers, the lowest first.
    pub const ALL: [Self; 6] =
        [Self::Shipped, Self::System, Self::User, Self::Project, Self::Environment, Self::Given];
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shipped => "shipped",
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Environment => "environment",
            Self::Given => "given",
        })
    }
}

/// A database and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerDatabase {
    /// Who it comes from.
    pub layer: Layer,
    /// The file, where it was read from one.
    pub path: Option<PathBuf>,
    /// The records.
    pub database: Database,
}

/// The databases of a dispatcher.
#[derive(Debug)]
pub(super) struct Layers {
    /// The CPU model that records are chosen for.
    pub(super) cpu: CpuModel,
    /// The topmost first; of those shipped, only that of this CPU model.
    read: Vec<LayerDatabase>,
    /// Those shipped for other CPU models. They lie below all others, and take so long to read that
    /// it is done when a workload has no record of this CPU model; none where they are not wanted.
    foreign: OnceLock<Vec<LayerDatabase>>,
}

impl Layers {
    /// Those that were read, the topmost first, and below them those that are shipped, where wanted.
    pub(super) fn new(
        cpu: CpuModel,
        mut read: Vec<LayerDatabase>,
        is_shipped_wanted: bool,
    ) -> Self {
        let foreign = if is_shipped_wanted {
            read.extend(Database::shipped(&cpu).map(shipped));
            OnceLock::new()
        } else {
            OnceLock::from(Vec::new())
        };
        Self { cpu, read, foreign }
    }

    /// All databases that may be of this CPU model, and others that were read with them; the topmost
    /// first.
    pub(super) fn read(&self) -> &[LayerDatabase] {
        &self.read
    }

    /// All databases, the topmost first.
    pub(super) fn all(&self) -> impl Iterator<Item = &LayerDatabase> {
        let read_foreign = || Database::shipped_for_others(&self.cpu).map(shipped).collect();
        self.read.iter().chain(self.foreign.get_or_init(read_foreign))
    }
}

fn shipped(database: Database) -> LayerDatabase {
    LayerDatabase { layer: Layer::Shipped, path: None, database }
}

/// Reads the files of layers, and keeps what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) cpu: &'a CpuModel,
    pub(super) warnings: Vec<String>,
}

impl Reader<'_> {
    /// The databases of a layer that is made of files, the topmost first. What is not there is
    /// not missed, but for what a person named.
    pub(super) fn layer(&mut self, layer: Layer, project: Option<&Path>) -> Vec<LayerDatabase> {
        match layer {
            Layer::System => self.folders(layer, system_folders(env::var_os("XDG_DATA_DIRS"))),
            Layer::User => {
                let path = Database::user_path(self.cpu);
                let folder = path.as_deref().and_then(Path::parent).map(Path::to_owned);
                self.folders(layer, folder)
            }
            Layer::Project => match project {
                Some(named) => self.named(layer, named),
                None => {
                    let start = env::current_dir().ok();
                    self.folders(layer, start.and_then(|start| project_folder(&start)))
                }
            },
            Layer::Environment => {
                let list = env::var_os(OVERLAY_VARIABLE).unwrap_or_default();
                let named = env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
                named.flat_map(|path| self.named(layer, &path)).collect()
            }
            Layer::Shipped | Layer::Given => Vec::new(),
        }
    }

    /// A file or folder that a person named, and that should be there.
    fn named(&mut self, layer: Layer, path: &Path) -> Vec<LayerDatabase> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(layer, path),
            Ok(_) => self.file(layer, path).into_iter().collect(),
            Err(error) => {
                self.warn(format!("{}: cannot be read: {error}", path.display()));
                Vec::new()
            }
        }
    }

    fn folders(
        &mut self,
        layer: Layer,
        folders: impl IntoIterator<Item = PathBuf>,
    ) -> Vec<LayerDatabase> {
        folders.into_iter().flat_map(|folder| self.folder(layer, &folder)).collect()
    }

    /// The file of this CPU model, then those of others.
    fn folder(&mut self, layer: Layer, folder: &Path) -> Vec<LayerDatabase> {
        files(folder, &self.cpu.file_stem())
            .iter()
            .filter_map(|path| self.file(layer, path))
            .collect()
    }

    fn file(&mut self, layer: Layer, path: &Path) -> Option<LayerDatabase> {
        match Database::load(path) {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| self.warn(warning.to_string()));
                let (path, database) = (Some(path.to_owned()), loaded.database);
                Some(LayerDatabase { layer, path, database })
            }
            Err(error) => {
                self.warn(error.to_string());
                None
            }
        }
    }

    fn warn(&mut self, message: String) {
        tracing::warn!("{message}");
        self.warnings.push(message);
    }
}

/// Files of databases in a folder: the one with the given stem first, others by name. Files that
/// are not named as ours are, are not ours.
fn files(folder: &Path, own: &str) -> Vec<PathBuf> {
    /// Files of other CPU models that are read at most, since each takes time at every start.
    const MOST_OTHERS: usize = 32;
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<(bool, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let stem = path.file_stem()?.to_str()?;
            let is_ours = path.extension()? == "toml" && is_file_stem(stem);
            (is_ours && path.is_file()).then(|| (stem != own, path.clone()))
        })
        .collect();
    files.sort();
    let has_own = files.first().is_some_and(|(is_other, _)| !is_other);
    files.truncate(MOST_OTHERS + usize::from(has_own));
    files.into_iter().map(|(_, path)| path).collect()
}

/// Whether [`CpuModel::file_stem`] may have given a name.
fn is_file_stem(name: &str) -> bool {
    let mut parts = name.strip_suffix("-efficiency").unwrap_or(name).split('-');
    let is_vendor = parts.next().is_some_and(|vendor| {
        !vendor.is_empty() && vendor.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    let numbers: Vec<Option<u32>> = parts.map(|part| part.parse().ok()).collect();
    is_vendor && numbers.len() == 3 && numbers.iter().all(Option::is_some)
}

/// Folders of the machine's files, the topmost first.
fn system_folders(data_dirs: Option<OsString>) -> Vec<PathBuf> {
    if cfg!(windows) {
        let data = env::var_os("PROGRAMDATA").map(PathBuf::from);
        return data.into_iter().map(|folder| folder.join("dsconv")).collect();
    }
    let data_dirs = data_dirs
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| OsString::from("/usr/local/share:/usr/share"));
    // The convention of XDG: a relative path is to be ignored.
    let shared = env::split_paths(&data_dirs).filter(|folder| folder.is_absolute());
    let shared = shared.map(|folder| folder.join("dsconv"));
    std::iter::once(PathBuf::from("/etc/dsconv")).chain(shared).collect()
}

/// The project's folder as seen from a folder.
fn project_folder(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(PROJECT_FOLDER)).find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_for_other_cpus_waits_until_all_is_wanted() {
        let stem = |layer: &LayerDatabase| layer.database.cpu().file_stem();
        let cpu = Database::shipped_for_others(&CpuModel::host()).next().unwrap().cpu().clone();
        let layers = Layers::new(cpu.clone(), Vec::new(), true);
        assert!(layers.read().iter().map(stem).eq([cpu.file_stem()]));
        assert!(layers.foreign.get().is_none());
        let all: Vec<String> = layers.all().map(stem).collect();
        assert_eq!(all[0], cpu.file_stem());
        assert!(all.len() > 1 && !all[1..].contains(&all[0]), "{all:?}");
        assert_eq!(Layers::new(cpu, Vec::new(), false).all().count(), 0);
    }

    #[test]
    fn a_folder_gives_the_file_of_this_cpu_first_and_no_strangers_files() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a-1-2-3.toml", "own-9-9-9.toml", "z-1-2-3-efficiency.toml"];
        let other = ["a.toml", "a-1-2.toml", "a-1-2-3-4.toml", "a-1-2-x.toml", "-1-2-3.toml"];
        for name in names.iter().chain(&other).chain(&["a-1-2-3.toml.lock", "a-1-2-3.txt"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("b-1-2-3.toml")).unwrap();
        let found = files(folder.path(), "own-9-9-9");
        let expected = [names[1], names[0], names[2]].map(|name| folder.path().join(name));
        assert_eq!(found, expected);
        assert!(files(Path::new("/nowhere"), "own-9-9-9").is_empty());
    }

    #[test]
    fn files_of_other_cpus_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for model in 0..50 {
            fs::write(folder.path().join(format!("a-1-{model}-3.toml")), "").unwrap();
        }
        assert_eq!(files(folder.path(), "own-9-9-9").len(), 32);
        let found = files(folder.path(), "a-1-7-3");
        assert_eq!((found.len(), found[0].file_name().unwrap()), (33, "a-1-7-3.toml".as_ref()));
    }

    #[cfg(unix)]
    #[test]
    fn the_machines_folders_follow_the_convention() {
        let of = |list: &str| system_folders(Some(list.into()));
        let expected = ["/etc/dsconv", "/usr/local/share/dsconv", "/usr/share/dsconv"];
        assert_eq!(system_folders(None), expected.map(PathBuf::from));
        assert_eq!(of(""), expected.map(PathBuf::from));
        let expected = ["/etc/dsconv", "/opt/a/dsconv", "/b/dsconv"].map(PathBuf::from);
        assert_eq!(of("/opt/a:relative:/b"), expected);
    }

    #[test]
    fn the_projects_folder_is_the_nearest_above() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("one/two");
        fs::create_dir_all(&inner).unwrap();
        for above in [folder.path().to_owned(), folder.path().join("one"), inner.clone()] {
            let project = above.join(PROJECT_FOLDER);
            fs::create_dir(&project).unwrap();
            assert_eq!(project_folder(&inner), Some(project));
        }
    }
}
