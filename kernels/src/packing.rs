//! Packed weights: one record per group of channels that a micro-kernel computes at once, in the
//! order in which it reads them.
//!
//! A record holds, for each weight of the reduction (tap or input channel), that weight of all
//! channels of the group; then their biases; then their slopes. Surplus lanes of masked vectors
//! have zeros.

use crate::cover::{self, Cover, Slot};
use crate::plan::{LINE, Plan};
use crate::schedule::Packing;
use crate::weights::Weights;

/// The records of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    /// Groups of output channels of the stage.
    pub(crate) groups: Cover,
    /// Where the first record starts in the packed weights.
    pub(crate) offset: usize,
    /// Weights of one output channel.
    pub(crate) reduction: usize,
    bias: bool,
    slopes: bool,
}

impl Records {
    pub(crate) fn new(groups: Cover, reduction: usize, bias: bool, slopes: bool) -> Self {
        Self { groups, offset: 0, reduction, bias, slopes }
    }

    /// The same records at the place that `take` gives for their length.
    pub(crate) fn placed(self, take: impl FnOnce(usize) -> usize) -> Self {
        let offset = take(self.rest_offset(self.groups.rest.len()));
        Self { offset, ..self }
    }

    /// Elements of the record of a group of `width` channels.
    pub(crate) fn record_len(&self, width: usize) -> usize {
        let per_channel = self.reduction + usize::from(self.bias) + usize::from(self.slopes);
        (per_channel * width).next_multiple_of(LINE)
    }

    /// Where the biases stand in a record of `width` channels, if there are any.
    pub(crate) fn bias_at(&self, width: usize) -> Option<usize> {
        self.bias.then_some(self.reduction * width)
    }

    /// Where the slopes stand in a record of `width` channels, if there are any.
    pub(crate) fn slopes_at(&self, width: usize) -> Option<usize> {
        self.slopes.then_some((self.reduction + usize::from(self.bias)) * width)
    }

    /// From the first record to that of the `rest`-th group that is not whole.
    pub(crate) fn rest_offset(&self, rest: usize) -> usize {
        let before =
            self.groups.rest[..rest].iter().map(|slots| self.record_len(cover::width(slots)));
        self.groups.full * self.record_len(self.groups.width) + before.sum::<usize>()
    }

    /// Writes all records. `weight(channel, index)` is a weight of the reduction.
    fn pack(
        &self,
        packed: &mut [f32],
        row_major: bool,
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
        slopes: &[f32],
    ) {
        let mut at = self.offset;
        for slots in self.groups.groups() {
            let width = cover::width(&slots);
            let record = &mut packed[at..at + self.record_len(width)];
            let channels: Vec<(usize, usize)> = channels_of(&slots).collect();
            // Few at a time, so that what is written stays in the first-level cache.
            for first in (0..self.reduction).step_by(LINE) {
                for &(position, channel) in &channels {
                    for index in first..self.reduction.min(first + LINE) {
                        let to = if row_major {
                            position * self.reduction + index
                        } else {
                            index * width + position
                        };
                        record[to] = weight(channel, index);
                    }
                }
            }
            for (position, channel) in channels {
                for (start, values) in
                    [(self.bias_at(width), bias), (self.slopes_at(width), slopes)]
                {
                    if let Some(start) = start {
                        record[start + position] = values[channel];
                    }
                }
            }
            at += record.len();
        }
    }
}

/// The channels of a group, each with its position among the lanes.
fn channels_of(slots: &[Slot]) -> impl Iterator<Item = (usize, usize)> {
    cover::positions(slots).into_iter().zip(slots).flat_map(|(position, slot)| {
        (0..slot.valid).map(move |lane| (position + lane, slot.start + lane))
    })
}

/// Packs weights, whose lengths were checked, into a zeroed buffer of the plan's length.
pub(crate) fn pack(plan: &Plan, weights: &Weights<'_>, packed: &mut [f32]) {
    if let Some(records) = &plan.depthwise {
        let weight = |channel: usize, tap| weights.depthwise[channel * records.reduction + tap];
        records.pack(packed, false, weight, weights.depthwise_bias, weights.depthwise_slopes);
    }
    if let Some(records) = &plan.pointwise {
        let row_major =
            plan.schedule.pointwise.is_some_and(|tile| tile.packing == Packing::RowMajor);
        let weight = |channel: usize, input| weights.pointwise[channel * records.reduction + input];
        records.pack(packed, row_major, weight, weights.pointwise_bias, weights.pointwise_slopes);
    }
}
