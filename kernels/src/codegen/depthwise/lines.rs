//! The rows of input under a block of output rows.
//!
//! A copied window holds all of them, zeros where there is padding. Of the input itself, most rows
//! are there whatever block it is; those at the upper and lower end may lie in the padding, and a
//! pointer is chosen for each at run time: to the row, or to a line of zeros in the scratch.

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

/// See the module.
pub(super) struct Lines {
    /// Of each row, which pointer leads to it and how many elements on it starts; none for padding.
    rows: Vec<Option<(usize, usize)>>,
    /// To the first row, then to those that were chosen.
    pub(super) pointers: Vec<Pointer>,
}

impl Lines {
    /// `count` rows that are all there.
    pub(super) fn present(count: usize, start: Pointer, pitch: usize) -> Self {
        Self { rows: (0..count).map(|row| Some((0, row * pitch))).collect(), pointers: vec![start] }
    }

    /// The rows of the input under a block. `start` is where the first row starts or, in the
    /// padding, would; `zeros` is a line of as many zeros as a row has elements.
    pub(super) fn of_input(
        emitter: &mut Emitter<'_>,
        plan: &Plan,
        block: Block,
        start: Pointer,
        pitch: usize,
        zeros: Pointer,
    ) -> Self {
        let mut lines = Self { rows: Vec::new(), pointers: vec![start] };
        let last_block = plan.rows - block.rows;
        let is_inside = |row: usize, block: usize| {
            let row = block * plan.stride[0] + row;
            (plan.pad[0]..plan.pad[0] + plan.in_rows).contains(&row)
        };
        for row in 0..plan.window_rows(block.rows) {
            let here = Some((0, row * pitch));
            let line = match block.known {
                Some(first) => here.filter(|_| is_inside(row, first)),
                None if is_inside(row, 0) && is_inside(row, last_block) => here,
                None if !plan.meets_taps(row, block.rows) => None,
                None => {
                    let input_row = emitter.add(block.first, row as i64);
                    let inside = emitter.is_below(input_row, plan.in_rows);
                    let chosen = emitter.choose(inside, start.at(row * pitch), zeros);
                    lines.pointers.push(chosen);
                    Some((lines.pointers.len() - 1, 0))
                }
            };
            lines.rows.push(line);
        }
        lines
    }

    /// Where a row starts, given where the pointers have moved to; none for a row of padding.
    pub(super) fn row(&self, moved: &[Pointer], row: usize) -> Option<Pointer> {
        self.rows[row].map(|(pointer, elements)| moved[pointer].at(elements))
    }
}
