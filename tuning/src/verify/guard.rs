//! Memory for a tensor with margins that a kernel must leave alone.

use dsconv_kernels::{Buffer, Workload};

use super::{CANARY, first_and_count};

/// Elements beside a tensor, on either side: four of the widest vectors.
const MARGIN: usize = 64;

/// A tensor inside a larger buffer full of canaries. What reads a margin and uses it computes NaN.
#[derive(Debug)]
pub struct Guarded {
    buffer: Buffer,
    start: usize,
    len: usize,
}

impl Guarded {
    /// Memory for the output of `workload`, full of canaries, that starts with a cache line.
    pub fn output(workload: &Workload) -> Self {
        Self::canaries(workload.output_len(), 0)
    }

    /// Memory for so many elements, full of canaries, that starts so many elements after a cache
    /// line.
    pub fn canaries(len: usize, displacement: usize) -> Self {
        let start = MARGIN + displacement;
        let mut guarded = Self { buffer: Buffer::zeroed(start + len + MARGIN), start, len };
        guarded.reset();
        guarded
    }

    /// A copy of a tensor that starts so many elements after a cache line.
    pub fn holding(tensor: &[f32], displacement: usize) -> Self {
        let mut guarded = Self::canaries(tensor.len(), displacement);
        guarded.as_mut_slice().copy_from_slice(tensor);
        guarded
    }

    /// Fills tensor and margins with canaries again.
    pub fn reset(&mut self) {
        self.buffer.fill(f32::from_bits(CANARY));
    }

    /// The tensor.
    pub fn as_slice(&self) -> &[f32] {
        &self.buffer[self.start..][..self.len]
    }

    /// The tensor, for a kernel to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..][..self.len]
    }

    /// Elements of the margins that are no canaries: the first, counted from the start of the
    /// tensor, and their number.
    pub fn overwritten(&self) -> Option<(isize, usize)> {
        self.first_where(|index, bits| {
            !(self.start..self.start + self.len).contains(&index) && bits != CANARY
        })
    }

    /// Elements that are no longer those of `tensor`, or of the margins no canaries.
    pub fn changed(&self, tensor: &[f32]) -> Option<(isize, usize)> {
        self.first_where(|index, bits| {
            let inside = index.checked_sub(self.start).and_then(|index| tensor.get(index));
            bits != inside.map_or(CANARY, |element| element.to_bits())
        })
    }

    fn first_where(&self, is_wrong: impl Fn(usize, u32) -> bool) -> Option<(isize, usize)> {
        let wrong = |index: &usize| is_wrong(*index, self.buffer[*index].to_bits());
        let (index, count) = first_and_count((0..self.buffer.len()).filter(wrong))?;
        Some((index as isize - self.start as isize, count))
    }

    /// An element of the tensor or of a margin, counted from the start of the tensor.
    #[cfg(test)]
    pub(crate) fn at(&mut self, index: isize) -> &mut f32 {
        let index = self.start.checked_add_signed(index).expect("an element of the buffer");
        &mut self.buffer[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_start_where_they_are_wanted_and_hold_what_they_are_given() {
        for displacement in 0..16 {
            let guarded = Guarded::holding(&[1.0, f32::NAN, 3.0], displacement);
            let lines = guarded.as_slice().as_ptr().addr() % 64;
            assert_eq!(lines, 4 * displacement);
            assert_eq!(guarded.as_slice()[2], 3.0);
            assert_eq!(guarded.overwritten(), None);
            assert_eq!(guarded.changed(&[1.0, f32::NAN, 3.0]), None);
        }
    }

    #[test]
    fn what_was_written_is_found_inside_and_beside() {
        let tensor = [1.0, 2.0, 3.0];
        for index in [-64, -1, 0, 2, 3, 66] {
            let mut guarded = Guarded::holding(&tensor, 5);
            *guarded.at(index) = 7.0;
            assert_eq!(guarded.changed(&tensor), Some((index, 1)));
            let beside = !(0..3).contains(&index);
            assert_eq!(guarded.overwritten(), beside.then_some((index, 1)));
        }
    }
}
