//! Reading a file that is not TOML as a whole: cut off, or damaged in one place.
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
    if !head.text.ends_with('\n') {
        let line = head.line(head.text.len());
        let message = "the file ends inside its head".to_owned();
        return Err(DatabaseError::Head { path: reader.path.to_owned(), line, message });
    }
    let table = DeTable::parse(head.text).map_err(|error| reader.broken_head(&head, &error))?;
    let mut database = reader.document(table, &head)?;
    for piece in pieces {
        let (text, lines_above) = (sound_part(reader, &piece), piece.lines_above);
        let piece = Piece::new(text, lines_above);
        match DeTable::parse(piece.text) {
            Ok(table) => reader.body(table.into_inner(), &piece, &mut database)?,
            Err(error) => {
                let message = format!("record skipped: {}", one_line(error.message()));
                reader.warn(piece.line_of(&error), message);
            }
        }
    }
    Ok(database)
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

/// The text of a record above its first bad line. An unfinished last line is bad whatever it holds.
fn sound_part<'a>(reader: &mut Reader<'_>, piece: &Piece<'a>) -> &'a str {
    let end = piece.above_line_of(piece.text.len());
    if end < piece.text.len() {
        reader.warn(piece.line(end), "the file ends inside this line: ignored".to_owned());
    }
    let finished = &piece.text[..end];
    match DeTable::parse(finished) {
        Ok(_) => finished,
        Err(error) => {
            let message = format!("{}: ignored from here on", one_line(error.message()));
            reader.warn(piece.line_of(&error), message);
            &finished[..piece.above_line_of(error.span().map_or(0, |span| span.start))]
        }
    }
}
