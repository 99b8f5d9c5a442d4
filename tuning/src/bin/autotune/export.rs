//! `autotune export`: the user's cache as a file to hand on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use dsconv::Database;
use dsconv::cpu::CpuModel;

use crate::args;
use crate::caches::{self, records};
use crate::failure::Failure;
use crate::output;

/// Flags of `autotune export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Where the records go [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The TOML cache [default: one file per CPU model in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,

    /// Only records whose workload contains this text, such as nhwc
    #[arg(long, value_name = "TEXT")]
    workload: Option<String>,

    /// Overwrites the output
    #[arg(long, requires = "output")]
    force: bool,
}

/// Reads, selects, writes.
pub(crate) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let path = args::cache_path(args.cache.as_ref(), &CpuModel::host())?;
    let (database, _) = caches::load(&path)?;
    let mut selected = Database::new(database.cpu().clone());
    let is_selected = |text: &str| args.workload.as_ref().is_none_or(|part| text.contains(part));
    for record in database.records().filter(|it| is_selected(&it.workload.to_string())) {
        selected.insert(record.clone());
    }
    if selected.is_empty() {
        return Err(Failure::Failed(format!(
            "{}: none of its {} is to be exported",
            path.display(),
            records(database.len())
        )));
    }
    let text = selected.to_toml();
    let Some(file) = &args.output else { return output::print(&text) };
    write(file, &text, args.force)?;
    eprintln!("{}: {} of {}", file.display(), records(selected.len()), selected.cpu().file_stem());
    Ok(())
}

/// Writes a new file; over an old one, only if forced, and then all of it or nothing.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Failed(format!(
            "{} exists: overwrite it with --force, or add to it with `autotune merge`",
            path.display()
        )),
        _ => Failure::Failed(format!("{}: cannot be written: {error}", path.display())),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let target = if force { Path::new(&name) } else { path };
    let mut file = OpenOptions::new().write(true).create_new(true).open(target).map_err(failed)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| if force { fs::rename(target, path) } else { Ok(()) });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(target);
    }
    written.map_err(failed)
}
