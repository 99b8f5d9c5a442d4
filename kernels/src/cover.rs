//! Covering an extent with vectors: whole groups that a loop walks over, and what is left over.
//!
//! ```text
//! extent 27, lanes 4, 2 vectors a group
//! |<---- group 0 ---->|<---- group 1 ---->|<---- group 2 ---->|<- rest ->|   overlap: [23..27)
//! 0         4         8        12        16        20        24         27   narrow:  the same here
//!                                                                            masked:  [24..27), 4 lanes
//! ```

use crate::schedule::Tail;

/// Vector widths that exist, widest first; 1 is a scalar.
pub(crate) const WIDTHS: [usize; 4] = [16, 8, 4, 1];

/// A vector of a group: elements `start..start + valid` from where the group starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) start: usize,
    pub(crate) lanes: usize,
    /// Lanes that hold elements, from the first on: fewer than all in a masked vector only.
    pub(crate) valid: usize,
}

impl Slot {
    /// A vector whose lanes all hold elements.
    pub(crate) fn full(start: usize, lanes: usize) -> Self {
        Self { start, lanes, valid: lanes }
    }

    /// Lanes that hold no elements.
    pub(crate) fn surplus(&self) -> usize {
        self.lanes - self.valid
    }
}

/// How an extent is covered. Every element is in some slot, and no element of a slot passes the
/// extent's end (except with [`Tail::Overrun`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    /// Elements of one whole group.
    pub(crate) width: usize,
    /// The slots of a whole group, from the start of the group.
    pub(crate) slots: Vec<Slot>,
    /// Whole groups, one after the other from the start of the extent.
    pub(crate) full: usize,
    /// What the whole groups leave over; slots from the start of the extent.
    pub(crate) rest: Vec<Vec<Slot>>,
}

impl Cover {
    /// Covers `extent` elements by groups of `vectors` vectors of `lanes` lanes.
    pub(crate) fn new(extent: usize, lanes: usize, vectors: usize, tail: Tail) -> Self {
        let width = lanes * vectors;
        let full = extent / width;
        let start = full * width;
        let left = match tail {
            Tail::Overrun => overrun(start, extent, lanes),
            Tail::Overlap if extent >= lanes => overlap(start, extent, lanes),
            Tail::Overlap | Tail::Narrow => narrow(start, extent, lanes),
            Tail::Masked => masked(start, extent, lanes),
        };
        Self {
            width,
            slots: (0..vectors).map(|vector| Slot::full(vector * lanes, lanes)).collect(),
            full,
            rest: left.chunks(vectors).map(<[Slot]>::to_vec).collect(),
        }
    }

    /// Covers `extent` single elements by groups of `size`.
    pub(crate) fn scalars(extent: usize, size: usize) -> Self {
        Self::new(extent, 1, size, Tail::Narrow)
    }

    /// Every group, whole ones first, with its slots counted from the start of the extent.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Vec<Slot>> + '_ {
        let whole = (0..self.full).map(|group| {
            let from = group * self.width;
            self.slots.iter().map(|slot| Slot { start: from + slot.start, ..*slot }).collect()
        });
        whole.chain(self.rest.iter().cloned())
    }

    /// Groups, whole ones and others.
    pub(crate) fn len(&self) -> usize {
        self.full + self.rest.len()
    }
}

/// Lanes of all slots of a group.
pub(crate) fn width(slots: &[Slot]) -> usize {
    slots.iter().map(|slot| slot.lanes).sum()
}

/// Where each slot of a group starts among their lanes.
pub(crate) fn positions(slots: &[Slot]) -> Vec<usize> {
    slots
        .iter()
        .scan(0, |position, slot| {
            let here = *position;
            *position += slot.lanes;
            Some(here)
        })
        .collect()
}

fn overrun(start: usize, extent: usize, lanes: usize) -> Vec<Slot> {
    (start..extent).step_by(lanes).map(|start| Slot::full(start, lanes)).collect()
}

fn masked(start: usize, extent: usize, lanes: usize) -> Vec<Slot> {
    (start..extent)
        .step_by(lanes)
        .map(|start| Slot { start, lanes, valid: lanes.min(extent - start) })
        .collect()
}

fn overlap(start: usize, extent: usize, lanes: usize) -> Vec<Slot> {
    let last = extent - lanes;
    (start..extent).step_by(lanes).map(|start| Slot::full(start.min(last), lanes)).collect()
}

/// Vectors of each width in turn; fewer than four elements are one overlapping vector of four, or
/// single elements where the extent, or the widest vector, has no four.
fn narrow(mut start: usize, extent: usize, widest: usize) -> Vec<Slot> {
    let mut slots = Vec::new();
    for lanes in WIDTHS.into_iter().filter(|&lanes| lanes <= widest) {
        if lanes == 1 && widest >= 4 && start < extent && extent >= 4 {
            slots.push(Slot::full(extent - 4, 4));
            break;
        }
        while start + lanes <= extent {
            slots.push(Slot::full(start, lanes));
            start += lanes;
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_element_is_covered_and_no_slot_passes_the_end(
            extent in 1usize..300,
            lanes in prop::sample::select(WIDTHS.to_vec()),
            vectors in 1usize..9,
            tail in prop::sample::select(vec![Tail::Overlap, Tail::Narrow, Tail::Overrun, Tail::Masked]),
        ) {
            let cover = Cover::new(extent, lanes, vectors, tail);
            let mut covered = vec![false; extent];
            for slot in cover.groups().flatten() {
                let end = slot.start + slot.valid;
                prop_assert!(tail == Tail::Overrun || end <= extent);
                prop_assert!((1..=slot.lanes).contains(&slot.valid));
                prop_assert!(tail == Tail::Masked || slot.surplus() == 0);
                covered[slot.start..end.min(extent)].fill(true);
            }
            prop_assert!(covered.into_iter().all(|element| element));
            prop_assert!(cover.rest.iter().all(|group| (1..=vectors).contains(&group.len())));
            prop_assert_eq!(cover.groups().count(), cover.len());
        }
    }

    #[test]
    fn the_rest_overlaps_or_narrows_or_is_masked() {
        let rest = |tail| Cover::new(27, 8, 2, tail).rest.concat();
        let slot = Slot::full;
        assert_eq!(rest(Tail::Overlap), [slot(16, 8), slot(19, 8)]);
        assert_eq!(rest(Tail::Narrow), [slot(16, 8), slot(23, 4)]);
        assert_eq!(rest(Tail::Overrun), [slot(16, 8), slot(24, 8)]);
        assert_eq!(rest(Tail::Masked), [slot(16, 8), Slot { start: 24, lanes: 8, valid: 3 }]);
        assert_eq!(Cover::new(3, 8, 2, Tail::Overlap).rest.concat().len(), 3);
        assert_eq!(Cover::new(3, 8, 2, Tail::Masked).rest.concat().len(), 1);
    }
}
