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
    let mut pieces = split(text).into_iter();
    let head = pieces.next().expect("there is always a head");
    if !head.text.ends_with('\n') {
        let line = head.line(head.text.len());
        let message = "the file ends inside its head".to_owned();
        return Err(DatabaseError::Head { path: reader.path.to_owned(), line, message });
    }
    let table = DeTable::parse(head.text).map_err(|error| reader.broken_head(&head, &error))?;
    let mut database = reader.document(table, &head)?;
    for piece in pieces {
        let sound = sound_part(reader, &piece);
        let piece = Piece { text: &piece.text[..sound], ..piece };
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

/// The head, then one piece for each record.
fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut lines_above) = (0, 0);
    let mut byte = 0;
    for (line, content) in text.split_inclusive('\n').enumerate() {
        if content.trim() == "[[record]]" {
            pieces.push(Piece { text: &text[start..byte], lines_above });
            (start, lines_above) = (byte, line);
        }
        byte += content.len();
    }
    pieces.push(Piece { text: &text[start..], lines_above });
    pieces
}

/// Bytes of a record above its first bad line. An unfinished last line is bad whatever it holds.
fn sound_part(reader: &mut Reader<'_>, piece: &Piece<'_>) -> usize {
    let finished = piece.text.rfind('\n').map_or(0, |end| end + 1);
    if finished < piece.text.len() {
        let message = "the file ends inside this line: ignored".to_owned();
        reader.warn(piece.line(finished), message);
    }
    match DeTable::parse(&piece.text[..finished]) {
        Ok(_) => finished,
        Err(error) => {
            let message = format!("{}: ignored from here on", one_line(error.message()));
            reader.warn(piece.line_of(&error), message);
            let bad = error.span().map_or(0, |span| span.start.min(finished));
            piece.text.as_bytes()[..bad]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1)
        }
    }
}
