//! Reading a file record by record, because it is long, or not TOML as a whole: cut off, or damaged
//! in one place.
//!
//! The text is split where records start, and each record is parsed on its own. One that does not
//! parse gets a second chance with the text above its first bad line, which is all of it when the
//! damage came after its end.

use toml::de::DeTable;

use super::Database;
use super::error::DatabaseError;
use super::format::{Piece, Reader, one_line};

pub(super) fn parse(reader: &mut Reader<'_>, text: &str) -> Result<Database, DatabaseError> {
    let mut pieces = split(text);
    let head = pieces.next().expect("the head comes first, whatever the text");
    let mut database = parse_head(reader, &head)?;
    for piece in pieces {
        let (table, piece, fault) = sound_part(&piece);
        if let Some(Fault { line, message }) = fault {
            reader.warn(line, format!("{message}: ignored from here on"));
        }
        reader.body(table, &piece, &mut database)?;
    }
    Ok(database)
}

/// Damage below the CPU is a warning; above, it is the reason why the CPU cannot be read.
fn parse_head(reader: &mut Reader<'_>, head: &Piece<'_>) -> Result<Database, DatabaseError> {
    let (table, piece, fault) = sound_part(head);
    match (reader.document(table, &piece), fault) {
        (Ok(database), Some(Fault { line, message })) => {
            reader.warn(line, format!("{message}: ignored up to the next record"));
            Ok(database)
        }
        (Err(DatabaseError::Head { path, .. }), Some(Fault { line, message })) => {
            Err(DatabaseError::Head { path, line, message })
        }
        (result, _) => result,
    }
}

/// Why the rest of a piece is not read.
struct Fault {
    line: usize,
    message: String,
}

/// The head, which may be empty, then one piece for each record.
fn split(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut lines_above = 0;
    let mut is_head = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !is_head {
            return None;
        }
        let (mut bytes, mut lines) = (0, 0);
        for line in rest.split_inclusive('\n') {
            let is_own_header = lines == 0 && !is_head;
            if line.trim() == "[[record]]" && !is_own_header {
                break;
            }
            (bytes, lines) = (bytes + line.len(), lines + 1);
        }
        is_head = false;
        let piece = Piece::new(&rest[..bytes], lines_above);
        (rest, lines_above) = (&rest[bytes..], lines_above + lines);
        Some(piece)
    })
}

/// Longest text of one record, or of the head; theirs are some 2 KiB.
const MOST_BYTES: usize = 1 << 16;

/// Bad lines that a piece is cut above, one after the other.
const MOST_TURNS: usize = 8;

/// The part of a piece above its first bad line. An unfinished last line is bad whatever it holds.
fn sound_part<'a>(piece: &Piece<'a>) -> (DeTable<'a>, Piece<'a>, Option<Fault>) {
    let bytes = piece.text.len();
    if bytes > MOST_BYTES {
        let message = format!("{bytes} bytes up to the next record, more than {MOST_BYTES}");
        let fault = Fault { line: piece.line(0), message };
        return (DeTable::new(), Piece::new("", piece.lines_above), Some(fault));
    }
    let mut end = piece.above_line_of(piece.text.len());
    let mut fault = (end < piece.text.len()).then(|| Fault {
        line: piece.line(end),
        message: "the file ends inside this line".to_owned(),
    });
    // Each turn drops a line at least; a text that keeps failing is dropped as a whole, because
    // parsing all of it for every line of it takes for ever.
    for turn in 0.. {
        let part = Piece::new(&piece.text[..end], piece.lines_above);
        match DeTable::parse(part.text) {
            Ok(table) => return (table.into_inner(), part, fault),
            Err(error) => {
                fault =
                    Some(Fault { line: part.line_of(&error), message: one_line(error.message()) });
                let bad = error.span().map_or(0, |span| span.start).min(end.saturating_sub(1));
                end = if turn < MOST_TURNS { part.above_line_of(bad) } else { 0 };
            }
        }
    }
    unreachable!("the empty text parses")
}
