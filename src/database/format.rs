//! Records to TOML and back.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::ser::ValueSerializer;

use super::error::{DatabaseError, LoadWarning, Loaded};
use super::{Database, Record, salvage};
use crate::cpu::CpuModel;

/// The format that this version writes, and the latest that it reads.
pub(super) const FORMAT: i64 = 1;

/// More records than any tuning yields; a bound for files of strangers.
pub(super) const MOST_RECORDS: usize = 20_000;

/// Fields of each table, in the order of the file. A test holds them against what is written.
const HEAD: &[&str] = &["format", "cpu", "record"];
const CPU: &[&str] = &[
    "vendor",
    "family",
    "model",
    "stepping",
    "core_kind",
    "brand",
    "features",
    "l1_bytes",
    "l2_bytes",
    "l3_bytes",
];
const RECORD: &[&str] = &[
    "workload",
    "isa",
    "threads",
    "objective",
    "measurement",
    "runner_up",
    "schedule",
    "provenance",
];
const MEASUREMENT: &[&str] = &["median_us", "min_us", "spread_us", "samples"];
const RUNNER_UP: &[&str] = &["median_us", "schedule"];
const PROVENANCE: &[&str] = &[
    "version",
    "code_generation",
    "strategy",
    "trials",
    "seed",
    "date",
    "default_us",
    "contended",
];

/// More warnings than anybody reads; a bound for files of strangers.
const MOST_WARNINGS: usize = 1000;

/// Longest text that is parsed at once: a parsed text may take a hundred times its size in memory.
/// Longer files are read record by record.
const MOST_BYTES_AT_ONCE: usize = 1 << 20;

/// A piece of a file that is TOML on its own.
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// Lines of the file above it.
    pub(super) lines_above: usize,
    line_ends: Vec<usize>,
}

impl<'a> Piece<'a> {
    /// A piece with so many lines of the file above it.
    pub(super) fn new(text: &'a str, lines_above: usize) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, lines_above, line_ends: line_ends.map(|(at, _)| at).collect() }
    }

    /// The line of the file that holds a byte of the piece, counted from 1.
    pub(super) fn line(&self, byte: usize) -> usize {
        self.lines_above + 1 + self.line_ends.partition_point(|end| *end < byte)
    }

    /// The line of a parser's error.
    pub(super) fn line_of(&self, error: &toml::de::Error) -> usize {
        self.line(error.span().map_or(0, |span| span.start))
    }

    /// The bytes above the line that holds a byte.
    pub(super) fn above_line_of(&self, byte: usize) -> usize {
        match self.line_ends.partition_point(|end| *end < byte) {
            0 => 0,
            lines => self.line_ends[lines - 1] + 1,
        }
    }
}

/// Reads a file's text.
pub(super) fn parse(text: &str, path: &Path) -> Result<Loaded, DatabaseError> {
    let mut reader = Reader { path, warnings: Vec::new(), records: 0 };
    let whole = Piece::new(text, 0);
    // A last line without an end may have lost a part of a number, and would still parse.
    let is_whole = text.is_empty() || text.ends_with('\n');
    let table = (is_whole && text.len() <= MOST_BYTES_AT_ONCE).then(|| DeTable::parse(text).ok());
    let database = match table.flatten() {
        Some(table) => reader.document(table.into_inner(), &whole)?,
        None => salvage::parse(&mut reader, text)?,
    };
    Ok(Loaded { database, warnings: reader.warnings })
}

/// Turns parsed tables into records, and what it cannot use into warnings.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) warnings: Vec<LoadWarning>,
    records: usize,
}

impl Reader<'_> {
    pub(super) fn warn(&mut self, line: usize, message: String) {
        let message = match self.warnings.len() {
            ..MOST_WARNINGS => message,
            MOST_WARNINGS => "more is wrong below: further warnings left out".to_owned(),
            _ => return,
        };
        self.warnings.push(LoadWarning { path: self.path.to_owned(), line, message });
    }

    fn head_error(&self, line: usize, message: impl Into<String>) -> DatabaseError {
        DatabaseError::Head { path: self.path.to_owned(), line, message: message.into() }
    }

    /// Reads a table with a head and records.
    pub(super) fn document(
        &mut self,
        mut table: DeTable<'_>,
        piece: &Piece<'_>,
    ) -> Result<Database, DatabaseError> {
        self.check_format(&table, piece)?;
        let Some(cpu) = table.remove("cpu") else {
            return Err(self.head_error(1, "no `[cpu]`: this is no database, or a part of one"));
        };
        let cpu_line = piece.line(cpu.span().start);
        self.warn_of_unknown(cpu.get_ref(), CPU, "cpu", piece);
        let cpu = CpuModel::deserialize(ValueDeserializer::from(cpu)).map_err(|error| {
            let line = error.span().map_or(cpu_line, |span| piece.line(span.start));
            self.head_error(line, format!("[cpu]: {}", one_line(error.message())))
        })?;
        if let Some(fault) = cpu.fault() {
            return Err(self.head_error(cpu_line, format!("[cpu]: {fault}")));
        }
        let mut database = Database::new(cpu);
        self.body(table, piece, &mut database)?;
        Ok(database)
    }

    /// Reads the records of a table.
    pub(super) fn body(
        &mut self,
        mut table: DeTable<'_>,
        piece: &Piece<'_>,
        database: &mut Database,
    ) -> Result<(), DatabaseError> {
        let records = table.remove("record");
        self.warn_of_unknown(&DeValue::Table(table), HEAD, "", piece);
        let Some(records) = records else { return Ok(()) };
        let line = piece.line(records.span().start);
        let DeValue::Array(records) = records.into_inner() else {
            self.warn(line, "`record` is no list of tables: ignored".to_owned());
            return Ok(());
        };
        for record in records {
            self.count_records(1)?;
            self.record(record, piece, database);
        }
        Ok(())
    }

    /// Bounds the records of a file.
    pub(super) fn count_records(&mut self, more: usize) -> Result<(), DatabaseError> {
        self.records += more;
        if self.records <= MOST_RECORDS {
            return Ok(());
        }
        Err(DatabaseError::TooLarge {
            path: self.path.to_owned(),
            unit: "records",
            found: self.records as u64,
            limit: MOST_RECORDS as u64,
        })
    }

    /// Reads one record, or warns.
    fn record(&mut self, value: Spanned<DeValue<'_>>, piece: &Piece<'_>, database: &mut Database) {
        let line = piece.line(value.span().start);
        for (name, fields) in [
            ("", RECORD),
            ("measurement", MEASUREMENT),
            ("runner_up", RUNNER_UP),
            ("provenance", PROVENANCE),
        ] {
            let part = if name.is_empty() { Some(&value) } else { value.get_ref().get(name) };
            if let Some(part) = part {
                self.warn_of_unknown(part.get_ref(), fields, name, piece);
            }
        }
        match Record::deserialize(ValueDeserializer::from(value)) {
            Ok(record) => match record.fault() {
                None => database.insert(record),
                Some(fault) => self.warn(line, format!("record skipped: {fault}")),
            },
            Err(error) => {
                let line = error.span().map_or(line, |span| piece.line(span.start));
                self.warn(line, format!("record skipped: {}", one_line(error.message())));
            }
        }
    }

    fn check_format(&self, table: &DeTable<'_>, piece: &Piece<'_>) -> Result<(), DatabaseError> {
        let Some(value) = table.get("format") else {
            return Err(self.head_error(1, "no `format`: this is no database, or a part of one"));
        };
        let line = piece.line(value.span().start);
        let number = value.get_ref().as_integer();
        match number.and_then(|it| i64::from_str_radix(it.as_str(), it.radix()).ok()) {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(DatabaseError::FutureFormat {
                path: self.path.to_owned(),
                found,
                supported: FORMAT,
            }),
            _ => Err(self.head_error(line, format!("`format` must be {FORMAT}"))),
        }
    }

    fn warn_of_unknown(
        &mut self,
        value: &DeValue<'_>,
        known: &[&str],
        name: &str,
        piece: &Piece<'_>,
    ) {
        let Some(table) = value.as_table() else { return };
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let dot = if name.is_empty() { "" } else { "." };
            let field = one_line(key.get_ref());
            let line = piece.line(key.span().start);
            self.warn(line, format!("unknown field `{name}{dot}{field}` ignored"));
        }
    }
}

/// The first line of a message, of bounded length: parts of it come from the file.
pub(super) fn one_line(message: &str) -> String {
    const MOST_LETTERS: usize = 200;
    let line = message.lines().next().unwrap_or("");
    line.chars().filter(|letter| !letter.is_control()).take(MOST_LETTERS).collect()
}

/// Writes a file's text.
pub(super) fn print(database: &Database) -> String {
    let mut text = format!("# Tuned schedules of one CPU model.\nformat = {FORMAT}\n\n[cpu]\n");
    fields(&mut text, database.cpu());
    for record in database.records() {
        text.push_str("\n[[record]]\n");
        field(&mut text, "workload", &record.workload.to_string());
        field(&mut text, "isa", &record.isa);
        field(&mut text, "threads", &record.threads);
        field(&mut text, "objective", &record.objective);
        field(&mut text, "measurement", &record.measurement);
        if let Some(runner_up) = &record.runner_up {
            field(&mut text, "runner_up", runner_up);
        }
        text.push_str("\n[record.schedule]\n");
        fields(&mut text, &record.schedule);
        // Last, because all its fields are required: a record that was cut off misses some.
        text.push_str("\n[record.provenance]\n");
        fields(&mut text, &record.provenance);
    }
    text
}

/// One line for each field of a struct; structs inside it are inline tables.
fn fields(text: &mut String, value: &impl Serialize) {
    let table = toml::Table::try_from(value).expect("our structs are TOML tables");
    for (key, value) in &table {
        field(text, key, value);
    }
}

fn field(text: &mut String, key: &str, value: &impl Serialize) {
    let mut inline = String::new();
    value.serialize(ValueSerializer::new(&mut inline)).expect("our fields are TOML values");
    writeln!(text, "{key} = {inline}").expect("strings can be written to");
}
