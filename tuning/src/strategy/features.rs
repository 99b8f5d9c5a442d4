//! A schedule as a list of yes-or-no features: which value it has on which axis.

use std::collections::HashMap;

use dsconv_kernels::Schedule;

/// An axis and a value on it.
pub(super) type Feature = (&'static str, String);

/// Axes whose values are features, and pairs of axes whose combinations are.
fn values(schedule: &Schedule) -> Vec<Feature> {
    let Schedule { family, fusion, split, tile_rows, tile_cols, depthwise, pointwise } = schedule;
    let mut values = vec![
        ("family", family.to_string()),
        ("hand-over", format!("{family} {fusion} {split}")),
        ("tile rows", format!("{family} {tile_rows}")),
        ("tile columns", format!("{family} {tile_cols:?}")),
    ];
    if let Some(tile) = depthwise {
        values.extend([
            ("dw lanes", format!("{family} {} {}", tile.lanes, tile.tail)),
            ("dw rows", format!("{family} {}", tile.rows)),
            ("dw tile", format!("{family} {} {}", tile.rows, tile.vectors)),
            ("dw taps", format!("{family} {}", tile.taps)),
            ("dw window", format!("{family} {}", tile.window)),
        ]);
    }
    if let Some(tile) = pointwise {
        values.extend([
            ("pw lanes", format!("{family} {}", tile.lanes)),
            ("pw tile", format!("{family} {} {}", tile.broadcasts, tile.vectors)),
            ("pw unroll", format!("{family} {}", tile.unroll)),
            ("pw tail", format!("{family} {}", tile.tail)),
            ("pw packing", tile.packing.to_string()),
            ("pw order", format!("{family} {}", tile.order)),
            ("order and rows", format!("{} {tile_rows}", tile.order)),
        ]);
    }
    values
}

/// Numbers of the features that have been met.
#[derive(Debug, Default)]
pub(super) struct Features {
    numbers: HashMap<Feature, usize>,
}

impl Features {
    /// The features of a schedule, by number; new ones get the next number.
    pub(super) fn of(&mut self, schedule: &Schedule) -> Vec<usize> {
        let mut numbers: Vec<usize> = values(schedule)
            .into_iter()
            .map(|value| {
                let next = self.numbers.len();
                *self.numbers.entry(value).or_insert(next)
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Each with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Feature, usize)> {
        self.numbers.iter().map(|(feature, number)| (feature, *number))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
