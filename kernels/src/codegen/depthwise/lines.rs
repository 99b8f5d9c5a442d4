//! The rows of input under a block of output rows.
//!
//! A copied window holds all of them, zeros where there is padding. Of the input itself, most rows
//! are there whatever block it is; those at the upper and lower end may lie in the padding, and a
//! pointer is chosen for each at run time: to the row, or to a line of zeros in the scratch. Pointers
//! that outnumber the registers are kept in the scratch, too.

use cranelift_codegen::ir::Value;

use super::super::emitter::{Emitter, Pointer};
use crate::plan::Plan;

/// A block of output rows.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// How many.
    pub(super) rows: usize,
    /// Row of the input under the first of them, by the first row of taps; negative in the padding.
    pub(super) first: Value,
    /// The first of them, where the code knows it.
    pub(super) known: Option<usize>,
}

/// More chosen pointers than this do not stay in registers.
const MOST_POINTERS: usize = 8;

/// Where a row starts.
#[derive(Clone, Copy)]
enum Line {
    /// So many elements behind one of the pointers.
    Behind { pointer: usize, elements: usize },
    /// The pointer to it is here.
    Stored(Pointer),
}

/// See the module.
pub(super) struct Lines {
    /// Where each row is; none for padding.
    rows: Vec<Option<Line>>,
    /// To the first row, then to those that were chosen; of rows in a table, how far they have moved.
    pub(super) pointers: Vec<Pointer>,
    /// Pointers to the rows of taps, in the scratch, where a loop walks over them.
    pub(super) table: Option<Pointer>,
}

impl Lines {
    /// `count` rows that are all there.
    pub(super) fn present(count: usize, start: Pointer, pitch: usize) -> Self {
        let line = |row| Some(Line::Behind { pointer: 0, elements: row * pitch });
        Self { rows: (0..count).map(line).collect(), pointers: vec![start], table: None }
    }

    /// The rows of the input under a block. `start` is where the first row starts or, in the
    /// padding, would; `zeros` is a line of as many zeros as a row has elements. Many pointers are
    /// stored at `store`, if that is given: where no loop moves them.
    pub(super) fn of_input(
        emitter: &mut Emitter<'_>,
        plan: &Plan,
        block: Block,
        start: Pointer,
        pitch: usize,
        zeros: Pointer,
        store: Option<Pointer>,
    ) -> Self {
        let mut lines = Self { rows: Vec::new(), pointers: vec![start], table: None };
        let last_block = plan.rows - block.rows;
        let is_inside = |row: usize, block: usize| {
            let row = block * plan.stride[0] + row;
            (plan.pad[0]..plan.pad[0] + plan.in_rows).contains(&row)
        };
        let is_chosen = |row: usize| {
            block.known.is_none()
                && !(is_inside(row, 0) && is_inside(row, last_block))
                && plan.meets_taps(row, block.rows)
        };
        let count = plan.window_rows(block.rows);
        let chosen = (0..count).filter(|&row| is_chosen(row)).count();
        let store = store.filter(|_| chosen > MOST_POINTERS);
        for row in 0..count {
            let here = Some(Line::Behind { pointer: 0, elements: row * pitch });
            let line = match block.known {
                Some(first) => here.filter(|_| is_inside(row, first)),
                None if is_inside(row, 0) && is_inside(row, last_block) => here,
                None if !is_chosen(row) => None,
                None => {
                    let input_row = emitter.add(block.first, row as i64);
                    let inside = emitter.is_below(input_row, plan.in_rows);
                    let chosen = emitter.choose(inside, start.at(row * pitch), zeros);
                    match store {
                        Some(store) => {
                            let at = store.at(2 * row);
                            emitter.store_pointer(chosen, at);
                            Some(Line::Stored(at))
                        }
                        None => {
                            lines.pointers.push(chosen);
                            Some(Line::Behind { pointer: lines.pointers.len() - 1, elements: 0 })
                        }
                    }
                }
            };
            lines.rows.push(line);
        }
        lines
    }

    /// Puts the pointers to some rows into a table; those of padding lead to zeros.
    pub(super) fn tabled(
        self,
        emitter: &mut Emitter<'_>,
        rows: impl Iterator<Item = usize>,
        table: Pointer,
        zeros: Pointer,
    ) -> Self {
        for (place, row) in rows.enumerate() {
            let line = self.row(emitter, &self.pointers, 0, row).unwrap_or(zeros);
            emitter.store_pointer(line, table.at(2 * place));
        }
        Self { rows: Vec::new(), pointers: vec![emitter.distance()], table: Some(table) }
    }

    /// Where a row starts, given where the pointers have moved to, which is so many elements on; none
    /// for a row of padding.
    pub(super) fn row(
        &self,
        emitter: &mut Emitter<'_>,
        moved: &[Pointer],
        elements_on: usize,
        row: usize,
    ) -> Option<Pointer> {
        self.rows[row].map(|line| match line {
            Line::Behind { pointer, elements } => moved[pointer].at(elements),
            Line::Stored(at) => Pointer::new(emitter.load_integer(at)).at(elements_on),
        })
    }
}
