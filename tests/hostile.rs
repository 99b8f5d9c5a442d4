//! A short run of the fuzz targets: arbitrary texts, and texts of ours that were changed.

mod common;
#[path = "hostile/mod.rs"]
mod hostile;

use common::{any_record, cpu, database, record, schedule, workload};
use dsconv::Isa;
use proptest::prelude::*;
use proptest::sample::Index;

/// What takes the place of a word or of some letters: extremes, and what parsers stumble over.
const PIECES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "255",
    "65535",
    "4294967295",
    "18446744073709551615",
    "99999999999999999999",
    "1e308",
    "nan",
    "x",
    ",",
    " ",
    "=",
    "\n",
    "[[record]]\n",
    "[cpu]\n",
    "\"\"\"",
    "'",
    "{",
    "[",
    "]",
    "\\",
    "\u{0}",
    "\u{fe0f}",
    "dw:",
    "pw:",
    "relu",
    "p9/9/-9/-9",
    "nhwc",
    "# ",
];

/// One change of a text.
#[derive(Clone, Debug)]
enum Change {
    /// A run of letters or digits becomes a piece.
    Word(Index, Index),
    /// Some letters become a piece.
    Letters(Index, usize, Index),
    /// A part of the text stands once more elsewhere.
    Copy(Index, usize, Index),
    /// The text ends here.
    Cut(Index),
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), at()).prop_map(|(at, piece)| Change::Word(at, piece)),
        2 => (at(), 0..4_usize, at()).prop_map(|(at, count, piece)| Change::Letters(at, count, piece)),
        1 => (at(), 1..200_usize, at()).prop_map(|(from, count, to)| Change::Copy(from, count, to)),
        1 => at().prop_map(Change::Cut),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for change in changes {
        if letters.is_empty() {
            break;
        }
        let piece = |index: &Index| PIECES[index.index(PIECES.len())].chars();
        let end = |from: usize, count: usize| (from + count).min(letters.len());
        match change {
            Change::Word(at, with) => {
                let at = at.index(letters.len());
                let is_word = |letter: &char| letter.is_alphanumeric() || *letter == '_';
                let from = letters[..at].iter().rposition(|it| !is_word(it)).map_or(0, |it| it + 1);
                let count = letters[at..].iter().take_while(|it| is_word(it)).count();
                letters.splice(from..at + count, piece(with));
            }
            Change::Letters(at, count, with) => {
                let from = at.index(letters.len());
                letters.splice(from..end(from, *count), piece(with));
            }
            Change::Copy(from, count, to) => {
                let from = from.index(letters.len());
                let part = letters[from..end(from, *count)].to_vec();
                let to = to.index(letters.len());
                letters.splice(to..to, part);
            }
            Change::Cut(at) => letters.truncate(at.index(letters.len())),
        }
    }
    letters.into_iter().collect()
}

fn any_changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(any_change(), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_texts_do_no_harm(text in "(?s).{0,300}") {
        hostile::database(&text);
        hostile::schedule(&text);
        hostile::workload(&text);
    }

    #[test]
    fn changed_files_do_no_harm(
        records in prop::collection::vec(any_record(), 1..4),
        changes in any_changes(),
    ) {
        hostile::database(&changed(&database(cpu(1, 2), records).to_toml(), &changes));
    }

    #[test]
    fn files_with_legal_schedules_that_were_changed_do_no_harm(changes in any_changes()) {
        let records = [11, 12].map(|height| record(workload(24, 48, height), Isa::Fma, 12.5));
        hostile::database(&changed(&database(cpu(1, 2), records).to_toml(), &changes));
    }

    #[test]
    fn changed_schedules_do_no_harm(changes in any_changes()) {
        hostile::schedule(&changed(&schedule().to_string(), &changes));
    }

    #[test]
    fn changed_workloads_do_no_harm(record in any_record(), changes in any_changes()) {
        let text = record.workload.to_string();
        hostile::workload(&text);
        hostile::workload(&changed(&text, &changes));
    }
}
